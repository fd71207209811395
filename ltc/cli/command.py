"""What all commands share: configuration, folders of their own, errors for people."""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from ltc.errors import InputError, nearest_names
from ltc.files import config_directories, config_directory, use_config_directory

__all__ = ["claimed", "command", "config_directory", "lattices", "run_and_report", "run_folder"]

BAD_INPUT = 2
FAILED = 1

console = Console()
if not console.is_terminal:  # a file has no width
    console.width = 120
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def run_folder() -> Path:
    """Return the folder of the current run."""
    return Path(HydraConfig.get().runtime.output_dir)


@contextmanager
def claimed(config: DictConfig) -> Iterator[Path]:
    """Claim the folder of the current run, and give it back if the run fails before it has results.

    A file that only one process can make, `config.yaml`, is the claim.

    Raises:
        InputError: another run has the folder, finished or not.
    """
    folder = run_folder()
    claim = folder / "config.yaml"
    results = ("metrics.json", "checkpoints/best.ckpt", "checkpoints/last.ckpt")
    taken = any((folder / name).exists() for name in results)
    try:
        if taken:
            raise FileExistsError
        with claim.open("x", encoding="utf-8") as stream:
            stream.write(OmegaConf.to_yaml(config))
    except FileExistsError as error:
        raise InputError(
            f"{folder} holds a run already, finished or under way; choose another folder or "
            "remove that one"
        ) from error
    try:
        yield folder
    except BaseException:
        if not any((folder / name).exists() for name in results):
            claim.unlink(missing_ok=True)
        raise


def _new_folder(parent: str, name: str, result: str = "path") -> str:
    """Make a folder that nobody else has, and return its path, or its name.

    Making it is what claims it: of two processes that want the same name in the same second,
    one gets it and the other the same with a number behind it.
    """
    # Overrides hold paths and spaces; shells and Hydra take names without them as they are.
    name = re.sub(r"[^\w.-]+", "_", str(name)).strip("_.-") or "run"
    if len(name) > 120:
        name = f"{name[:100]}_{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    for i in range(1, 100_000):
        unique = name if i == 1 else f"{name}_{i}"
        try:
            Path(parent, unique).mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise InputError(
                f"cannot write to {Path(parent).absolute()}: {error.strerror}; start from a "
                "folder that can be written, or set hydra.run.dir=FOLDER (hydra.sweep.dir=FOLDER "
                "for a sweep)"
            ) from error
        return unique if result == "name" else str(Path(parent, unique))
    raise InputError(f"{parent} holds 100,000 folders named {name}; choose another")


def lattices() -> dict[str, DictConfig]:
    """Return the settings of every lattice in `quantizer/` of the configuration, by name."""

    def load(path: Path) -> DictConfig:
        settings = OmegaConf.load(path)
        assert isinstance(settings, DictConfig)
        parents = [name for name in settings.pop("defaults", []) if name in paths]
        merged = OmegaConf.merge(*(load(paths[name]) for name in parents), settings)
        assert isinstance(merged, DictConfig)
        return merged

    found = (sorted((root / "quantizer").glob("*.yaml")) for root in config_directories())
    paths = {path.stem: path for path in itertools.chain(*found)}
    del paths["lattice_base"]  # what all share, without a lattice of its own
    settings = {name: load(path) for name, path in paths.items()}
    return {name: value for name, value in settings.items() if "_target_" not in value}


def _lattice(name: str, *, _parent_: DictConfig) -> DictConfig:
    """Return the lattice of `conf/quantizer/NAME.yaml`, for a quantizer that builds on it.

    Its parameters are taken from the quantizer, where it has them.
    """
    known = lattices()
    if name not in known:
        near = " or ".join(nearest_names(str(name), known))
        hint = f"; did you mean {near}?" if near else "."
        raise InputError(
            f"there is no lattice {name}{hint} Valid names: {', '.join(sorted(known))}"
        )
    chosen = known[name]
    for key in chosen.keys() & _parent_.keys() - {"lattice"}:
        chosen[key] = _parent_[key]
    OmegaConf.resolve(chosen)
    lattice: DictConfig = chosen.lattice
    return lattice


OmegaConf.register_new_resolver("lattice", _lattice)


def command(task: Callable[[DictConfig], Any], config_name: str) -> None:
    """Run a task with the configuration of the command line, as a console script does.

    Bad input ends in one message and exit code 2; `-v` or HYDRA_FULL_ERROR=1 shows the
    traceback as well. In a sweep each failed run is reported and the others go on.

    Arguments:
        task: gets the composed configuration.
        config_name: the name of the primary configuration in `conf/`.
    """
    verbose = "-v" in sys.argv[1:] or os.environ.get("HYDRA_FULL_ERROR") not in (None, "", "0")
    sys.argv = [argument for argument in sys.argv if argument != "-v"]
    # Hydra then raises its errors instead of printing them in its own way.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    warnings.filterwarnings("ignore", module=r"lightning\..*")
    OmegaConf.register_new_resolver("new_folder", _new_folder, use_cache=True, replace=True)
    failures: list[Exception] = []

    def reported(config: DictConfig) -> Any:
        config_directories()  # a process of a launcher has yet to find the user's modules
        try:
            _refuse_unknown_keys(config, config_name)
            return task(config)
        except Exception as error:
            failures.append(error)
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                overrides = " ".join(HydraConfig.get().overrides.task)
                errors.print(f"failed: {overrides}: {describe(error)}", markup=False)
                raise
            return None  # raised below, where Hydra adds nothing to the message

    def run() -> None:
        _use_config_option()
        directory = str(config_directory())
        hydra.main(version_base="1.3", config_path=directory, config_name=config_name)(reported)()
        if len(failures) > 1:
            errors.print(f"{len(failures)} runs failed; of the first:")
        if failures:
            raise failures[0]

    run_and_report(run, verbose)


def _refuse_unknown_keys(config: DictConfig, config_name: str) -> None:
    """Refuse `+key=value` that nothing would read."""
    primary: Any = OmegaConf.to_container(
        OmegaConf.load(config_directory() / f"{config_name}.yaml"), resolve=False
    )
    groups = [
        key for default in primary["defaults"] if isinstance(default, dict) for key in default
    ]
    known = {*primary, *(group.split()[-1] for group in groups)}
    for key in config:
        if key not in known:
            raise InputError(f"there is no key {key}; --cfg job shows all keys")


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
    try:
        run()
    except KeyboardInterrupt:
        errors.print("interrupted")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except Exception as error:
        if verbose:
            traceback.print_exc()
        errors.print("error: " + describe(error), markup=False)
        if not verbose and not is_input_error(error):
            errors.print("(HYDRA_FULL_ERROR=1 or -v shows the full traceback)")
        sys.exit(BAD_INPUT if is_input_error(error) else FAILED)


def chain(error: BaseException | None) -> Iterable[BaseException]:
    """Yield an exception and those that it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def is_input_error(error: BaseException) -> bool:
    """Tell whether the user's input is what is wrong."""
    for link in chain(error):
        if isinstance(link, InputError):
            return True
        if isinstance(link, InstantiationException):
            return isinstance(link.__cause__, InputError | TypeError | HydraException) or (
                "Error locating target" in str(link)
            )
    return isinstance(error, HydraException | OmegaConfBaseException) or _is_unwritable(error)


def _is_unwritable(error: BaseException) -> bool:
    """Tell whether Hydra could not make the folder of a run."""
    return isinstance(error, OSError) and error.filename is not None


def describe(error: BaseException) -> str:
    """Return a message for people: what is wrong, and the nearest valid names."""
    for link in chain(error):
        if isinstance(link, InputError):
            return str(link)
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        options = sorted(option for option in error.options if not option.endswith("_base"))
        near = nearest_names(name, options)
        hint = f"; did you mean {' or '.join(near)}?" if near else "."
        return f"there is no {group}={name}{hint} Valid names: {', '.join(options)}"
    text = str(error)
    resolving = re.search(r"InputError raised while resolving interpolation: (.*)", text)
    if resolving:  # OmegaConf drops the cause
        return resolving.group(1)
    unknown = re.search(r"Key '([^']+)' is not in struct|Could not override '([^']+)'", text)
    if unknown:
        overridden = re.search(r"Could not override '([^']+)'", text)
        key = overridden.group(1) if overridden else unknown.group(1)
        near = nearest_names(key, _valid_keys(sys.argv[1:]))
        hint = f"did you mean {' or '.join(near)}?" if near else ""
        return f"there is no key {key}; {hint} (--cfg job shows all keys)".replace(";  ", " ")
    if isinstance(error, InstantiationException) and "Error locating target" in text:
        return _missing_target(text, error.__cause__)
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        return f"{text.splitlines()[0]}: {error.__cause__}; check the keys of this group"
    if isinstance(error, HydraException | OmegaConfBaseException):
        return text
    if _is_unwritable(error):
        assert isinstance(error, OSError)
        return f"cannot use {error.filename}: {error.strerror}; choose another file or folder"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _missing_target(text: str, cause: BaseException | None) -> str:
    """Say what is wrong with a class that a YAML file names."""
    match = re.search(r"target '([^']+)'", text)
    target = match.group(1) if match else "?"
    reason = cause.__cause__ if cause is not None else None
    module, _, name = target.rpartition(".")
    if isinstance(reason, AttributeError) or getattr(reason, "name", None) == target:
        return f"_target_: {target}: the module {module} has no {name}"
    if isinstance(reason, ModuleNotFoundError) and f"{module}.".startswith(f"{reason.name}."):
        own = config_directories()[1:]
        folder = str(own[0]) if own else "a folder DIR, and give --config-dir DIR"
        return (
            f"_target_: {target}: there is no module {reason.name}; put {reason.name}.py into "
            + folder
        )
    return f"_target_: {target}: cannot import {module}: {reason!r}"


def _valid_keys(arguments: list[str]) -> list[str]:
    """Return the dotted keys and groups that a command accepts."""
    root = config_directory()
    groups = [path.name for path in root.iterdir() if path.is_dir()]
    keys = set(groups)

    def collect(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key in ("defaults", "hydra") and not prefix:
                    continue
                dotted = f"{prefix}.{key}" if prefix else str(key)
                keys.add(dotted)
                collect(dotted, inner)

    for path in root.rglob("*.yaml"):
        loaded = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        group = path.parent.relative_to(root).as_posix()
        chosen = any(argument == f"{group}={path.stem}" for argument in arguments)
        others = any(argument.startswith(f"{group}=") for argument in arguments)
        if group == "." or chosen or not others:
            collect("" if group == "." else group, loaded)
    return sorted(keys - {key for key in keys if key.endswith(("_target_", ".defaults"))})
