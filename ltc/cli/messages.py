"""What the commands say of an error: what is wrong, what was expected, what to do."""

import difflib
import errno
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hydra.errors import (
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from ltc.cli.choices import composed, lattices
from ltc.errors import InputError
from ltc.files import config_directories, config_directory
from ltc.runs.values import dotted

__all__ = [
    "chain",
    "describe",
    "is_full",
    "is_input_error",
    "no_such_key",
    "refuse_unknown_keys",
    "top_level_keys",
    "unknown_key",
]

# What Hydra says, in a ValueError, of `source=null`.
NO_CHOICE = "Config group override must be a string or a list"


def chain(error: BaseException | None) -> Iterable[BaseException]:
    """Yield an exception and those that it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def is_input_error(error: BaseException) -> bool:
    """Tell whether the user's input is what is wrong."""
    if _is_too_large(error):
        return True
    for link in chain(error):
        if isinstance(link, InputError):
            return True
        if isinstance(link, InstantiationException):
            return isinstance(link.__cause__, InputError | TypeError | HydraException) or (
                re.search("Error locating target|is blocklisted", str(link)) is not None
            )
    kinds = HydraException | OmegaConfBaseException | YAMLError | UnicodeDecodeError
    return isinstance(error, kinds) or _of_file(error) is not None or NO_CHOICE in str(error)


def _of_file(error: BaseException) -> OSError | None:
    """Return what is wrong with a file: Hydra could not make the folder of a run, or its log."""
    if isinstance(error, ValueError) and str(error).startswith("Unable to configure handler"):
        error = error.__cause__ or error
    return error if isinstance(error, OSError) and error.filename is not None else None


def _is_too_large(error: BaseException) -> bool:
    """Tell whether something does not fit into memory."""
    return any(
        isinstance(link, MemoryError) or re.search("can't allocate|out of memory", str(link))
        for link in chain(error)
    )


def is_full(error: BaseException) -> bool:
    """Tell whether a disk, what a user may write on it, or a file is as large as it may be."""
    return any(
        isinstance(link, OSError) and link.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        for link in chain(error)
    )


def describe(error: BaseException) -> str:
    """Return a message for people: what is wrong, and the nearest valid names."""
    for link in chain(error):
        if isinstance(link, InputError):
            return str(link)
    for link in chain(error):
        if isinstance(link, OSError) and is_full(link):
            where = link.filename2 or link.filename or "the output"
            reason = link.strerror or "no space left on the device"
            return f"cannot write {where}: {reason}; make room, or choose another folder"
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        if group.startswith("hydra/"):
            return f'{group}={name} is an extra: pip install ".[launchers]" in the clone of ltc'
        options = sorted(option for option in error.options if not option.endswith("_base"))
        if group == "quantizer" and "ltc-lattice" in Path(sys.argv[0]).name:
            options = list(lattices())
        near = difflib.get_close_matches(name, options, cutoff=0.4)
        hint = f"; did you mean {' or '.join(near)}?" if near else "."
        own = "" if config_directories()[1:] else " (and, with --config-dir DIR, your own)"
        return f"there is no {group}={name}{hint} Valid names: {', '.join(options)}{own}"
    if _is_too_large(error):
        if "compress" in Path(sys.argv[0]).name:
            return "this does not fit into memory: make room, or cut the file into parts"
        return (
            "this does not fit into memory; a smaller batch, source.block, source.dimension, "
            "quantizer.length, refine.samples or evaluate.samples may"
        )
    text = str(error)
    resolving = re.search(r"InputError raised while resolving interpolation: (.*)", text)
    if resolving:  # OmegaConf drops the cause
        return resolving.group(1)
    missing = re.search(r"Missing mandatory value: ([\w.]+)", text)
    if missing:
        key = missing.group(1)
        return f"{key} is not set; give {key}=VALUE (--cfg job shows what it takes)"
    forbidden = re.search(r"'([^']+)' is blocklisted", text)
    if forbidden:
        return f"_target_: {forbidden[1]}: it could run anything; name a class of ltc or your own"
    if isinstance(error, InstantiationException) and "Error locating target" in text:
        return _missing_target(text, error.__cause__)
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        return f"{text.splitlines()[0]}: {error.__cause__}; check the keys of this group"
    if NO_CHOICE in text:
        return "a group is null or a number; expected a name, as in source=banana or bound=none"
    if isinstance(error, UnicodeDecodeError):
        line = error.object[: error.start].rpartition(b"\n")[2] + error.object[error.start :]
        shown = line.partition(b"\n")[0].decode("utf-8", "backslashreplace")
        return f"a configuration file is no UTF-8, which it has to be: {shown}"
    if isinstance(error, YAMLError):
        return f"a configuration file is no YAML: {' '.join(text.split())}"
    if isinstance(error, OverrideParseException):
        if "=" not in error.override:
            return f"{error.override}: expected KEY=VALUE" + _meant(error.override)
        reason = text.rpartition("\nSee http")[0].rpartition("\n")[2]
        return (
            f"{error.override} is no KEY=VALUE ({reason}); quote a value with signs of Hydra's own "
            "once more, as in 'KEY=\"a=b\"'"
        )
    if isinstance(error, HydraException | OmegaConfBaseException):
        return text
    of_file = _of_file(error)
    if of_file is not None:
        return f"cannot use {of_file.filename}: {of_file.strerror}; choose another file or folder"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _meant(word: str) -> str:
    """Return what somebody who gave a bare word may have meant."""
    for root in config_directories():
        for file in sorted(root.glob(f"*/{word}.yaml")):
            return f"; did you mean {file.parent.name}={word}?"
        if (root / word).is_dir():
            return f", as in {word}=NAME"
    return ""


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


def unknown_key(error: BaseException) -> str | None:
    """Return the key that Hydra or OmegaConf did not find, if that is what an error says."""
    text = str(error)
    found = re.search(r"Could not override '([^']+)'", text)
    found = found or re.search(r"Key '([^']+)' is not in struct", text)
    return found.group(1) if found else None


def no_such_key(key: str, config_name: str, arguments: list[str]) -> str:
    """Return the message for a key that a command does not have.

    Arguments:
        key: with dots.
        config_name: the primary configuration of the command.
        arguments: of the command line.
    """
    for argument in arguments:
        chosen, _, name = argument.partition("=")
        for file in (root / chosen / f"{name}.yaml" for root in config_directories()):
            if file.is_file() and f"override /{key}:" in file.read_text(encoding="utf-8"):
                return f"{argument} chooses a {key}, too: it is for ltc-train and ltc-eval only"
    group, _, name = key.partition(".")
    others = sorted(
        path.stem
        for root in config_directories()
        for path in (root / group).glob("*.yaml")
        if name and name in _settings(path) and not path.stem.endswith("_base")
    )
    if others:
        hint = f"{' and '.join(f'{group}={other}' for other in others[:3])} would take it "
    else:
        near = difflib.get_close_matches(key, _valid_keys(config_name, arguments))
        keys = ", ".join(sorted(top_level_keys(config_name)))
        hint = f"did you mean {' or '.join(near)}? " if near else f"there are {keys} "
    return f"there is no key {key}; {hint}(--cfg job shows all keys)"


def _settings(path: Path) -> Any:
    """Return what a file of `conf/` says of its group: all, or a part where it chooses others."""
    loaded: Any = OmegaConf.load(path)
    return loaded.get(path.parent.name, loaded)


def top_level_keys(config_name: str) -> set[str]:
    """Return the keys and groups of a command, without those within them."""
    primary: Any = OmegaConf.to_container(
        OmegaConf.load(config_directory() / f"{config_name}.yaml"), resolve=False
    )
    defaults = [default for default in primary["defaults"] if isinstance(default, dict)]
    groups = {str(key).split()[-1] for default in defaults for key in default}
    return {key for key in {*primary, *groups} - {"defaults", "hydra"} if "/" not in key}


def refuse_unknown_keys(config: DictConfig, config_name: str, overrides: list[str]) -> None:
    """Refuse `+key=value` that nothing would read, and `~key` that would be missed.

    What is added to a class, or to the arguments of the trainer, is passed on; elsewhere it would
    be ignored, as if it had worked.

    Arguments:
        config: as it was composed.
        config_name: the primary configuration of the command.
        overrides: with which it was composed.

    Raises:
        InputError: there is such a key, or several choices where one is to be made.
    """
    for key in sorted(set(map(str, config)) - top_level_keys(config_name)):
        raise InputError(f"there is no key {key}; --cfg job shows all keys")
    groups = {path.name for root in config_directories() for path in root.iterdir()}
    for override in overrides:
        chosen = re.match(r"(\w+)=\[", override)
        if chosen and chosen[1] in groups:  # Hydra would take the last
            raise InputError(f"{override}: expected one {chosen[1]}; several are for -m, as A,B")
        if re.match(r"~\w+(=|$)", override):
            raise InputError(
                f"{override}: the key is read; give it a value instead of taking it out"
            )
        added = re.match(r"\++([^=@]+)", override)
        if added and re.split(r"[./]", added.group(1))[0] not in groups:
            raise InputError(
                f"there is no key {added.group(1)}, and nothing would read it; --cfg job shows all "
                "keys"
            )


def _valid_keys(config_name: str, arguments: list[str]) -> list[str]:
    """Return the dotted keys and groups of a command with its choices on the command line."""
    keys = top_level_keys(config_name)
    chosen = [a for a in arguments if a.partition("=")[0] in keys and "," not in a]
    try:
        config = composed(config_name, chosen)
    except (HydraException, OmegaConfBaseException):  # other arguments are wrong, too
        return sorted(keys)
    for key, _ in dotted(OmegaConf.to_container(config, resolve=False)):
        keys.update(key[: dot.start()] for dot in re.finditer(r"\.|$", key))
    return sorted(key for key in keys if not key.endswith("_target_"))
