"""The folders of runs: each is one run's alone, which may go on in it."""

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from ltc.checks import digest, refuse_interpolations
from ltc.cli.messages import chain, describe
from ltc.errors import InputError
from ltc.files import remove_unfinished, write_new
from ltc.runs.values import dotted

__all__ = ["claimed", "folder_of_run", "name_of_run", "new_folder", "run_folder", "stored"]

# What a run has once there is something of it to keep.
RESULTS = ("metrics.json", "curve.csv", "checkpoints/best.ckpt", "checkpoints/last.ckpt")


def run_folder() -> Path:
    """Return the folder of the current run."""
    return Path(HydraConfig.get().runtime.output_dir)


def new_folder(parent: str, name: str) -> str:
    """Make a folder that nobody else has, and return its path.

    Making it is what claims it: of two processes that want the same name in the same second,
    one gets it and the other the same with a number behind it.

    Arguments:
        parent: the folder to make it in.
        name: what it is to be called.

    Raises:
        InputError: `parent` cannot be written.
    """
    for i in range(1, 100_000):
        unique = Path(parent, name if i == 1 else f"{name}_{i}")
        try:
            unique.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise InputError(
                f"cannot write to {Path(parent).absolute()}: {error.strerror}; start from a "
                "folder that can be written, or set hydra.run.dir=FOLDER (hydra.sweep.dir=FOLDER "
                "for a sweep)"
            ) from error
        return str(unique)
    raise InputError(f"{parent} holds 100,000 folders named {name}; choose another")


def folder_of_run(resume: Any, parent: str, name: str) -> str:
    """Return the folder of the run to go on with, or a new one.

    Arguments:
        resume: the folder of the run to go on with; None: a new one.
        parent: the folder to make a new one in.
        name: what it is to be called.

    Raises:
        InputError: there is no run in the folder, or a new one cannot be made.
    """
    if resume is None:
        return new_folder(parent, name)
    if not Path(str(resume), "config.yaml").is_file():
        raise InputError(
            f"resume={resume}: there is no run in it to go on with (no config.yaml); a sweep, or a "
            "run that was ended before it began, is started again with the words of the first time"
        )
    return str(resume)


def name_of_run(text: str) -> str:
    """Return overrides as the name of a folder that every shell and Hydra take as it is."""
    name = re.sub(r"[^\w.-]+", "_", str(text)).strip("_.-") or "run"
    return name if len(name) <= 120 else f"{name[:100]}_{digest(name)[:12]}"


# Processes of a launcher know them too, because `command` imports this module.
OmegaConf.register_new_resolver("new_folder", new_folder, use_cache=True, replace=True)
OmegaConf.register_new_resolver("folder_of_run", folder_of_run, use_cache=True, replace=True)
OmegaConf.register_new_resolver("name_of_run", name_of_run, replace=True)


def stored(config: DictConfig, folder: Path, overrides: list[str]) -> DictConfig:
    """Return the configuration of the run that `resume=` names.

    Arguments:
        config: as it was composed, with all that stands beside `resume=`.
        folder: of the run that goes on.
        overrides: with which `config` was composed.

    Raises:
        InputError: something beside it would change the run, or the run is of somebody else who
            would have something built that no file of the configuration names.
    """
    from ltc.runs.checkpoint import check_targets  # not above: torch is slow to import

    if folder.resolve() != Path(str(config.resume)).resolve():
        raise InputError(
            f"resume={config.resume} goes on in the folder of the run; leave out hydra.run.dir"
        )
    of_run = _load(folder)
    check_targets(of_run, f"resume={config.resume}")
    given = {re.split("[=@]", o.lstrip("+~"))[0] for o in overrides}
    changed = [
        key
        for key in _differences(config, of_run)
        if "experiment" in given or any(f"{key}.".startswith(f"{name}.") for name in given)
    ]
    if changed:
        raise InputError(
            f"resume={config.resume} goes on with the run as it was begun, and what stands beside "
            f"it would change {', '.join(changed)}; leave it out, or start another run"
        )
    return of_run


def _load(folder: Path) -> DictConfig:
    try:
        config = OmegaConf.load(folder / "config.yaml")
    except UnicodeDecodeError as error:
        raise InputError(f"{folder}/config.yaml is damaged: it is no UTF-8") from error
    if not isinstance(config, DictConfig):
        raise InputError(f"{folder}/config.yaml holds no configuration")
    try:
        refuse_interpolations(config)
    except InputError as error:
        raise InputError(f"{folder}/config.yaml: {error}") from error
    return config


def _differences(one: DictConfig, other: DictConfig) -> list[str]:
    """Return the dotted keys under which two configurations differ, but for `resume`."""
    flat = [dict(dotted(OmegaConf.to_container(config, resolve=True))) for config in (one, other)]
    keys = sorted(flat[0].keys() | flat[1].keys())
    missing = object()
    return [
        key
        for key in keys
        if key != "resume" and flat[0].get(key, missing) != flat[1].get(key, missing)
    ]


@contextmanager
def claimed(
    config: DictConfig, folder: Path, log: str, resumable: bool, resumed: bool, of_sweep: bool
) -> Iterator[None]:
    """Claim the folder of a run, and give it back if the run fails without results.

    A file that only one process can make, `config.yaml`, is the claim; a process that is at the
    run holds a lock on it, which ends with the process, however that ends.

    Arguments:
        config: of the run.
        folder: where its files go; it exists.
        log: the file in it where is noted why a run ended.
        resumable: whether a run that was ended can go on: as a part of a sweep that is started
            again, or where it is named. What there is then stays.
        resumed: whether it is named, by `resume=`.
        of_sweep: whether it is part of a sweep.

    Raises:
        InputError: another run has the folder, finished or not.
    """
    claim = folder / "config.yaml"
    try:
        if any((folder / name).exists() for name in RESULTS):
            raise FileExistsError
        write_new(claim, OmegaConf.to_yaml(config, resolve=True))
        is_new = True
    except FileExistsError as error:
        is_new = False
        if not (resumable and (of_sweep or resumed) and claim.exists()):
            unfinished = resumable and not (folder / "metrics.json").exists()
            go_on = f"; if it was ended, ltc-train resume={folder} goes on" if unfinished else ""
            raise InputError(
                f"{folder} holds a run already, finished or under way; choose another folder or "
                f"remove that one{go_on}"
            ) from error
        changed = _differences(config, _load(folder))
        if changed:
            raise InputError(
                f"{folder} holds a run of another configuration, which differs in "
                f"{', '.join(changed)}; choose another hydra.sweep.dir or remove it"
            ) from error
    with _held(claim):
        remove_unfinished(folder)
        try:
            yield
        except BaseException as error:
            _note(error, folder / log)
            results = any((folder / name).exists() for name in RESULTS)
            if any(isinstance(link, KeyboardInterrupt) for link in chain(error)):
                if resumable:
                    sweep = f"the same sweep and hydra.sweep.dir={folder.parent}"
                    go_on = sweep if of_sweep else f"ltc-train resume={folder}"
                    raise KeyboardInterrupt(f"go on with {go_on}") from error
                if results:
                    kept = f"{folder} keeps what was written until then"
                    raise KeyboardInterrupt(kept) from error
            if is_new and not results:
                claim.unlink(missing_ok=True)
            raise


def _note(error: BaseException, log: Path) -> None:
    """Note in the log of a run why it ended, for those who come later."""
    interrupted = any(isinstance(link, KeyboardInterrupt) for link in chain(error))
    reason = "interrupted" if interrupted else describe(error)
    # A full disk may be the reason.
    with suppress(OSError), log.open("a", encoding="utf-8") as stream:
        stream.write(f"ERROR: {' '.join(reason.split())}\n")


@contextmanager
def _held(claim: Path) -> Iterator[None]:
    with claim.open(encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"the run in {claim.parent} is under way in another process; wait for it or end it"
            ) from error
        except OSError:  # of a file system without locks
            pass
        yield
