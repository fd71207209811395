"""What there is to choose from, composed as Hydra composes it."""

import difflib
import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.version import VersionBase
from omegaconf import DictConfig, OmegaConf

from ltc.errors import InputError
from ltc.files import config_directories, config_directory

__all__ = ["composed", "lattices"]


def composed(config_name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Return a configuration as a command would get it, also while one runs.

    Where Hydra is at work in the process, for ltc or anything else, it is left as it was.

    Arguments:
        config_name: the name of a primary configuration in `conf/`.
        overrides: as on the command line.

    Raises:
        HydraException: it cannot be composed.
    """
    search = [f"hydra.searchpath=['file://{own}']" for own in config_directories()[1:]]
    with _hydra():
        config = compose(config_name, [*search, *overrides], return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        if "name" in config:  # the names of the choices, which only Hydra knows
            OmegaConf.resolve(config.name)
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    OmegaConf.set_struct(own, True)
    return own


@contextmanager
def _hydra() -> Iterator[None]:
    """Initialise Hydra for ltc's configuration, and put back what was initialised before."""
    version, current = VersionBase.instance(), HydraConfig.instance()
    before = version.version_base, current.cfg, GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_directory()), version_base="1.3"):
            yield
    finally:
        version.version_base, current.cfg, GlobalHydra.instance().hydra = before


def lattices() -> dict[str, DictConfig]:
    """Return the settings of all quantizers in `conf/quantizer` that are a lattice, by name."""
    return _lattices(tuple(config_directories()))


@functools.lru_cache  # composing them takes time, and a message may ask more than once
def _lattices(directories: tuple[Path, ...]) -> dict[str, DictConfig]:
    names = {path.stem for root in directories for path in (root / "quantizer").glob("*.yaml")}
    names.remove("lattice_base")  # what all share, without a lattice of its own
    # All in one, which takes an eighth of the time that one after the other does.
    settings = composed("lattice", [f"+quantizer@every.{name}={name}" for name in names]).every
    plain: Any = OmegaConf.to_container(settings, resolve=False)
    # `nested` takes one of the others, and `ecvq` none.
    lattices = sorted(name for name in names if isinstance(plain[name].get("lattice"), dict))
    return {name: settings[name] for name in lattices}


def _lattice(name: str, *, _parent_: DictConfig) -> DictConfig:
    """Return the lattice of `conf/quantizer/NAME.yaml`, for a quantizer that builds on it.

    Its parameters are taken from the quantizer, where it has them.
    """
    known = lattices()
    if name not in known:
        near = " or ".join(difflib.get_close_matches(str(name), known, cutoff=0.4))
        hint = f"; did you mean {near}?" if near else "."
        raise InputError(f"there is no lattice {name}{hint} Valid names: {', '.join(known)}")
    chosen = known[name].copy()
    for key in chosen.keys() & _parent_.keys() - {"lattice"}:
        chosen[key] = _parent_[key]
    OmegaConf.resolve(chosen)
    lattice: DictConfig = chosen.lattice
    return lattice


# Processes of a launcher know it too, because `command` imports this module.
OmegaConf.register_new_resolver("lattice", _lattice, replace=True)
