"""`ltc-lattice`: what is known and measured about a lattice, or about all."""

import json
import sys
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich import box
from rich.table import Table

from ltc.checks import integer
from ltc.cli.choices import lattices
from ltc.cli.command import command, console
from ltc.progress import Progress

__all__ = ["main"]


def main() -> None:
    """Run `ltc-lattice`."""
    as_json = "--json" in sys.argv[1:]
    sys.argv = [argument for argument in sys.argv if argument != "--json"]
    command(lambda config: _task(config, as_json), "lattice", own_folder=False)


def _task(config: DictConfig, as_json: bool) -> None:
    with Progress("loading"):  # torch
        from ltc.lattices.card import best, card
        from ltc.runs.build import build_quantizer

    samples = integer("samples", config.samples, 2, 10**9)
    seed = integer("seed", config.seed, 0, 2**32 - 1)
    if config.get("quantizer"):
        with Progress("measuring"):
            found = card(build_quantizer(config).lattice, samples, seed)
        if as_json:
            print(json.dumps(found, indent=2))
        else:
            console.print(_card(found))
        return
    cards = []
    known = lattices()
    with Progress("measuring", len(known)) as progress:
        for done, (name, settings) in enumerate(known.items()):
            progress.update(done, name)
            if OmegaConf.is_missing(settings, "matrix"):
                continue  # of `generator`, still to be given
            lattice = instantiate(settings.lattice, _convert_="all")
            cards.append({**card(lattice, samples, seed), "name": name})
    cards.sort(key=lambda found: (found["dimension"], -found["second_moment_estimate"]))
    if as_json:
        print(json.dumps(cards, indent=2))
    else:
        console.print(_table(cards))
        console.print(_best(best(cards)))


def _number(value: float | None, digits: int = 6) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _estimated(found: dict[str, Any]) -> str | None:
    """Return why the measured second moment may differ from the literature's, if it may."""
    stderr = found["second_moment_literature_stderr"]
    if stderr is None:
        return None
    return (
        f"The literature's G of {found['name']} is an estimate, ± {stderr:.6f}. What is measured "
        "here is an upper limit but for its own ±: the decoder returns points of the lattice, and "
        "the nearest one is no farther."
    )


def _card(found: dict[str, Any]) -> Table:
    title = f"{found['name']}, dimension {found['dimension']}, unit volume"
    table = Table(title=title, box=box.SIMPLE_HEAD, show_header=False, title_justify="left")
    table.caption, table.caption_justify = _estimated(found), "left"
    table.add_column("", overflow="fold")
    table.add_column("", justify="right", overflow="fold")
    moment = f"{found['second_moment_estimate']:.6f} ± {found['second_moment_stderr']:.6f}"
    rows = [
        ("determinant of the Gram matrix", _number(found["determinant"], 3)),
        ("minimal norm", _number(found["minimal_norm"], 4)),
        ("kissing number", str(found["kissing_number"] or "-")),
        ("covering radius", _number(found["covering_radius"], 4)),
        ("second moment G, literature", _number(found["second_moment"], 8)),
        ("second moment G, measured", moment),
        ("no quantizer of this dimension is below", _number(found["sphere_bound"], 8)),
        ("½ log2(2πeG), best known (bits per sample)", _number(found["high_rate_gap"], 4)),
        ("½ log2(2πeG), measured", _number(found["high_rate_gap_estimate"], 4)),
        ("½ log2(G / sphere bound), measured", _number(found["gap_to_sphere_bound"], 4)),
        ("granular gain, measured (dB)", _number(found["granular_gain_db"], 3)),
        ("trellis: states, branches", f"{found['states'] or '-'}, {found['branches'] or '-'}"),
        ("closest point (million samples per second)", f"{found['throughput'] / 1e6:.1f}"),
    ]
    for row in rows:
        table.add_row(*row)
    return table


def _best(cards: list[dict[str, Any]]) -> Table:
    """Return a table of the best lattice of each dimension, between what bounds it."""
    table = _narrow("the best known quantizer of each dimension")
    table.caption = (
        "The best quantizer of a dimension, lattice or not, is between the two bounds. G without a "
        "literature is measured here."
    )
    table.add_column("n", justify="right")
    table.add_column("lattice", no_wrap=True)
    for column in ("sphere\nbound", "G,\nliterature", "G,\nmeasured", "±", "Zador's\nbound"):
        table.add_column(column, justify="right", no_wrap=True)
    moments = "second_moment", "second_moment_estimate", "second_moment_stderr"
    for one in cards:
        values = [_number(one[key]) for key in ("sphere_bound", *moments, "zador_bound")]
        table.add_row(str(one["dimension"]), one["name"], *values)
    return table


def _narrow(title: str) -> Table:
    """Return a table without columns that stays narrow."""
    return Table(
        title=title,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )


def _table(cards: list[dict[str, Any]]) -> Table:
    """Return a table of 80 columns; --json has the rest."""
    table = _narrow("lattices at unit volume")
    notes = [note for note in map(_estimated, cards) if note]
    notes.append("½ log2(2πeG) is the distance from R(D) at high rate. --json has more.")
    table.caption = " ".join(notes)
    table.add_column("lattice", no_wrap=True)
    measured = ("G,\nliterature", "G,\nmeasured", "±", "½ log2\n(2πeG)", "gain\n(dB)")
    for column in ("n", *measured, "million\nsamples/s"):
        table.add_column(column, justify="right", no_wrap=True)
    for found in cards:
        table.add_row(
            found["name"],
            str(found["dimension"]),
            _number(found["second_moment"]),
            _number(found["second_moment_estimate"]),
            _number(found["second_moment_stderr"]),
            _number(found["high_rate_gap_estimate"], 4),
            _number(found["granular_gain_db"], 3),
            f"{found['throughput'] / 1e6:.1f}",
        )
    return table
