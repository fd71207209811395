"""What all commands share: configuration, folders of their own, errors for people."""

import argparse
import io
import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from ltc.cli.folders import claimed, run_folder, stored
from ltc.cli.messages import (
    chain,
    describe,
    is_full,
    is_input_error,
    no_such_key,
    refuse_unknown_keys,
    unknown_key,
)
from ltc.cli.start import INTERRUPTED
from ltc.errors import InputError
from ltc.files import config_directories, config_directory, use_config_directory
from ltc.version import __version__

__all__ = ["command", "config_directory", "run_and_report"]

BAD_INPUT = 2
FAILED = 1

console = Console()
if not console.is_terminal:  # a file has no width
    console.width = 120
errors = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass
class Task:
    """A task that says how it failed, and can be sent to the process of a launcher.

    Arguments:
        task: gets the composed configuration.
        config_name: the name of the primary configuration in `conf/`.
        own_folder: whether its runs have folders, which they claim.
        resumable: whether a run that was ended can go on.
    """

    task: Callable[[DictConfig], Any]
    config_name: str
    own_folder: bool = True
    resumable: bool = False
    failures: list[Exception] = field(default_factory=list, init=False)

    def __call__(self, config: DictConfig) -> Any:
        """Run the task."""
        config_directories()  # a process of a launcher has yet to find the user's modules
        try:
            overrides = [*HydraConfig.get().overrides.task]
            refuse_unknown_keys(config, self.config_name, overrides)
            resumed = config.get("resume") is not None
            of_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
            if resumed and of_sweep:
                raise InputError(
                    "resume= takes one run, without -m; a sweep that is started again with its "
                    "hydra.sweep.dir=FOLDER goes on with all of its runs"
                )
            if resumed:
                config = stored(config, run_folder(), overrides)
            if not self.own_folder:
                return self.task(config)
            name = f"{HydraConfig.get().job.name}.log"
            with claimed(config, run_folder(), name, self.resumable, resumed, of_sweep):
                return self.task(config)
        except Exception as error:
            self.failures.append(error)
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                given = " ".join(HydraConfig.get().overrides.task)
                errors.print(f"failed: {given}: {describe(error)}", markup=False)
                raise
            return None  # raised by `command`, where Hydra adds nothing to the message


def command(
    task: Callable[[DictConfig], Any],
    config_name: str,
    own_folder: bool = True,
    resumable: bool = False,
) -> None:
    """Run a task with the configuration of the command line, as a console script does.

    Bad input ends in one message and exit code 2; `-v` or HYDRA_FULL_ERROR=1 shows the
    traceback as well. In a sweep each failed run is reported and the others go on.

    Arguments as of `Task`.
    """
    verbose = "-v" in sys.argv[1:] or os.environ.get("HYDRA_FULL_ERROR") not in (None, "", "0")
    rest = [argument for argument in sys.argv[1:] if argument != "-v"]
    # Options first, wherever they were given: Hydra's parser takes none between keys.
    sys.argv[1:] = sorted(rest, key=lambda argument: argument not in ("-m", "--multirun"))
    # Hydra then raises its errors instead of printing them in its own way.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    warnings.filterwarnings("ignore", module=r"lightning\..*")

    def run() -> None:
        if "--version" in sys.argv[1:]:  # Hydra would tell its own
            print(f"{Path(sys.argv[0]).stem} {__version__}", flush=True)
            return
        _use_config_option()
        directory = str(config_directory())
        main = hydra.main(version_base="1.3", config_path=directory, config_name=config_name)
        reported = Task(task, config_name, own_folder, resumable)
        try:
            main(reported)()
        except (HydraException, OmegaConfBaseException) as error:
            key = unknown_key(error)
            if key is None:
                raise
            raise InputError(no_such_key(key, config_name, sys.argv[1:])) from error
        except Exception:  # the first failure of a sweep, or what a search says if all failed
            if not reported.failures:
                raise
        if len(reported.failures) > 1:
            errors.print(f"{len(reported.failures)} runs failed; of the first:")
        if reported.failures:
            raise reported.failures[0]

    run_and_report(run, verbose)


def _use_config_option() -> None:
    """Take the folder of `--config-dir`, or of the environment, and hand it to Hydra."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd")
    options, rest = parser.parse_known_args(sys.argv[1:])
    if options.config_dir:
        use_config_directory(options.config_dir)
    for folder in config_directories()[1:]:
        sys.argv[1:] = ["--config-dir", str(folder), *rest]


def run_and_report(run: Callable[[], None], verbose: bool) -> None:
    """Run a command; end it with a message and an exit code where it fails.

    Arguments:
        run: the command.
        verbose: whether the traceback of an error is shown.
    """

    def in_thread(failure: threading.ExceptHookArgs) -> None:
        """Say what TensorBoard's thread could not write, or another one not do."""
        if verbose or failure.exc_value is None:
            threading.__excepthook__(failure)
        else:
            errors.print("warning: " + describe(failure.exc_value), markup=False)

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files may be no UTF-8
    threading.excepthook = in_thread
    logging.raiseExceptions = verbose  # nor is a log that finds no room worth a traceback
    try:
        try:
            os.getcwd()
        except FileNotFoundError as error:
            raise InputError("the folder of this shell was removed; change to another") from error
        run()
    except (KeyboardInterrupt, SystemExit) as stop:
        # Lightning makes an exit code 1 of the interruption.
        interruptions = [link for link in chain(stop) if isinstance(link, KeyboardInterrupt)]
        if not interruptions:
            raise
        errors.show_cursor()  # of a terminal, whose progress bar hid it
        kept = next((str(link) for link in interruptions if str(link)), "")
        errors.print(f"interrupted{kept and '; '}{kept}", markup=False)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except Exception as error:
        if verbose:
            traceback.print_exc()
        errors.print("error: " + describe(error), markup=False)
        if not verbose and not is_input_error(error) and not is_full(error):
            errors.print("(HYDRA_FULL_ERROR=1 or -v shows the full traceback)")
        sys.exit(BAD_INPUT if is_input_error(error) else FAILED)
