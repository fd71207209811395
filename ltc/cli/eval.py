"""`ltc-eval`: a finished run again, on other data, with another seed, of other sample counts."""

import argparse
import logging
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from rich.markup import escape

from ltc.cli.choices import composed
from ltc.cli.command import console, run_and_report
from ltc.cli.folders import new_folder
from ltc.errors import InputError
from ltc.files import atomic_write, config_directories, use_config_directory
from ltc.progress import Progress
from ltc.runs.table import table
from ltc.version import __version__

__all__ = ["main"]

# What may change of a run without changing what it trained.
MAY_CHANGE = ("source", "bound", "evaluate", "seed", "trainer")


def main() -> None:
    """Run `ltc-eval`."""
    parser = argparse.ArgumentParser(
        prog="ltc-eval",
        usage="%(prog)s [-h] [--out DIR] [--config-dir DIR] [--version] [-v] ckpt=RUN "
        "[KEY=VALUE ...]",
        description="Evaluate a finished run again, into a folder of its own.",
    )
    parser.add_argument(
        "ckpt", nargs="?", metavar="ckpt=RUN", help="folder of a run, or a checkpoint file"
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help="what differs from the run: source.path=FILE, source.root=DIR, source=NAME, seed=1, "
        "evaluate.samples=1e6, evaluate.bitstream=false, bound=NAME, trainer=cpu",
    )
    parser.add_argument("--out", metavar="DIR", help="a new folder (default: one in outputs/)")
    parser.add_argument("--config-dir", metavar="DIR", help="of classes of one's own")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("-v", action="store_true", help="show the full traceback of an error")
    options = parser.parse_intermixed_args()
    run_and_report(lambda: _evaluate(options), options.v)


def _evaluate(options: argparse.Namespace) -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    if options.config_dir:
        use_config_directory(options.config_dir)
    given = [*filter(None, [options.ckpt]), *options.overrides]
    named = [argument for argument in given if argument.startswith("ckpt=")]
    if len(named) != 1:
        raise InputError(
            f"expected one ckpt=RUN, the folder of a run; got {' '.join(given) or 'none'}"
        )
    checkpoint = named[0].removeprefix("ckpt=")
    overrides = OverridesParser.create().parse_overrides([a for a in given if a != named[0]])
    with Progress("loading"):  # torch is slow to import, and --help should not be
        from ltc.runs.again import evaluate_again
        from ltc.runs.checkpoint import read
        from ltc.runs.record import probe, write_metrics

        config, state = read(checkpoint)
        for override in overrides:
            _apply(config, override)
    folder = _folder(options.out)
    ours = options.out is None or not folder.exists()
    try:
        probe(folder)
        with Progress("measuring"):
            run, metrics = evaluate_again(config, state, checkpoint)
    except BaseException:
        if ours:
            with suppress(OSError):  # it is not empty
                folder.rmdir()
        raise
    changed = " ".join(str(override.input_line) for override in overrides)
    try:
        console.print(
            f"{checkpoint} on {metrics['samples']:,} held-out samples of {metrics['source']}, seed "
            f"{metrics['seed']}; "
            + (f"other than the run: {changed}" if changed else "as the run"),
            markup=False,
        )
        console.print(table(metrics))
    finally:  # a full disk takes no numbers that took minutes, and nor does a reader who left
        write_metrics(metrics, folder)
        with atomic_write(folder / "config.yaml") as temporary:
            temporary.write_text(OmegaConf.to_yaml(OmegaConf.create(run.config)), encoding="utf-8")
    console.print(f"[dim]{escape(str(folder))}[/]")


def _folder(wanted: str | None) -> Path:
    if wanted is None:
        return Path(new_folder("outputs", time.strftime("%Y-%m-%d_%H-%M-%S")))
    folder = Path(wanted)
    if (folder / "config.yaml").exists() or (folder / "metrics.json").exists():
        raise InputError(f"--out {wanted} holds a run; choose a new folder")
    return folder


def _apply(config: DictConfig, override: Override) -> None:
    """Change a configuration as one argument says."""
    key, text = override.key_or_group, str(override.input_line)
    group = re.split(r"[./@]", key)[0]
    if group not in MAY_CHANGE or key == "source.block" or override.is_delete():
        raise InputError(
            f"{text} would be another coder than the run trained; ltc-eval takes source, bound, "
            "evaluate, seed and trainer, everything else is ltc-train's"
        )
    if override.is_sweep_override():
        raise InputError(f"{text} has several values; ltc-eval takes one")
    value = override.value()
    chosen = any((root / key).is_dir() for root in config_directories())
    if chosen:
        _choose(config, key, str(value))
    elif OmegaConf.select(config, key, default=_MISSING) is _MISSING and (
        not override.is_add() or group == "evaluate"  # of which nothing would read it
    ):
        there = OmegaConf.select(config, key.rpartition(".")[0])
        keys = map(str, there) if isinstance(there, DictConfig) else MAY_CHANGE
        known = ", ".join(sorted(set(keys) - {"_target_"}))
        raise InputError(f"there is no key {key}; there are {known}")
    else:
        OmegaConf.update(config, key, value, force_add=True)


_MISSING: Any = object()


def _choose(config: DictConfig, group: str, name: str) -> None:
    """Take another choice of a config group; how blocks are cut stays the coder's."""
    new = composed("train", [f"{group}={name}"])[group]
    values: Any = OmegaConf.to_container(new, resolve=True)
    if group == "source":
        values["block"] = config.source.block
        config.name.source = name
    config[group] = values


if __name__ == "__main__":
    main()
