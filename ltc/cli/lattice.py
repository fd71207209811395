"""`ltc-lattice`: what is known and measured about a lattice, or about all."""

from __future__ import annotations

import json
import sys
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.progress import track
from rich.table import Table

from ltc.cli.command import command, console, lattices
from ltc.errors import InputError

__all__ = ["main"]


def main() -> None:
    """Run `ltc-lattice`."""
    as_json = "--json" in sys.argv[1:]
    sys.argv = [argument for argument in sys.argv if argument != "--json"]
    command(lambda config: _task(config, as_json), "lattice")


def _task(config: DictConfig, as_json: bool) -> None:
    from ltc.lattices.card import card
    from ltc.runs.build import build_quantizer

    if isinstance(config.samples, float) and config.samples.is_integer():  # 1e6
        config.samples = int(config.samples)
    if not isinstance(config.samples, int) or config.samples < 2:
        raise InputError(f"samples={config.samples}; expected an integer of at least 2")
    if config.get("quantizer"):
        found = card(build_quantizer(config).lattice, config.samples, config.seed)
        if as_json:
            print(json.dumps(found, indent=2))
        else:
            console.print(_card(found))
        return
    cards = []
    for name, settings in track(lattices().items(), "measuring", transient=True, disable=as_json):
        if OmegaConf.is_missing(settings, "matrix"):
            continue  # of `generator`, still to be given
        lattice = instantiate(settings, _convert_="all")["lattice"]
        cards.append({**card(lattice, config.samples, config.seed), "name": name})
    cards.sort(key=lambda found: (found["dimension"], -found["second_moment_estimate"]))
    if as_json:
        print(json.dumps(cards, indent=2))
    else:
        console.print(_table(cards))


def _number(value: float | None, digits: int = 6) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _card(found: dict[str, Any]) -> Table:
    table = Table(title=f"{found['name']}, dimension {found['dimension']}, unit volume")
    if found["name"] == "leech":
        table.caption = (
            "Literature: Conway and Sloane estimated 0.065771 ± 0.000074. Measured here is an "
            "upper bound: each returned point was checked to lie in the lattice."
        )
    table.add_column("", overflow="fold")
    table.add_column("", justify="right", no_wrap=True)
    moment = f"{found['second_moment_estimate']:.6f} ± {found['second_moment_stderr']:.6f}"
    rows = [
        ("determinant of the Gram matrix", _number(found["determinant"], 3)),
        ("minimal norm", _number(found["minimal_norm"], 4)),
        (
            "kissing number",
            "-" if found["kissing_number"] is None else str(found["kissing_number"]),
        ),
        ("covering radius", _number(found["covering_radius"], 4)),
        ("second moment G, literature", _number(found["second_moment"], 8)),
        ("second moment G, measured", moment),
        ("no quantizer of this dimension is below", _number(found["sphere_bound"], 8)),
        ("½ log2(2πeG), literature (bits per sample)", _number(found["high_rate_gap"], 4)),
        ("½ log2(2πeG), measured", _number(found["high_rate_gap_estimate"], 4)),
        ("½ log2(G / sphere bound), measured", _number(found["gap_to_sphere_bound"], 4)),
        ("granular gain, measured (dB)", _number(found["granular_gain_db"], 3)),
        ("trellis: states, branches", f"{found['states'] or '-'}, {found['branches'] or '-'}"),
        ("closest point here (million samples per second)", f"{found['throughput'] / 1e6:.1f}"),
    ]
    for row in rows:
        table.add_row(*row)
    return table


def _table(cards: list[dict[str, Any]]) -> Table:
    # Narrow enough for 80 columns; nothing is shortened.
    table = Table(
        title="lattices at unit volume",
        caption="G: second moment, measured. gap: ½ log2(2πeG), bits per sample over R(D) at high "
        "rate. gain: over the scalar quantizer. More with quantizer=NAME, all with --json.",
    )
    columns = ("lattice", "n", "G", "gap (bits)", "gain (dB)", "states", "M/s")
    for column in columns:
        table.add_column(
            column,
            justify="left" if column == "lattice" else "right",
            no_wrap=True,
            overflow="fold",
        )
    for found in cards:
        table.add_row(
            found["name"],
            str(found["dimension"]),
            _number(found["second_moment_estimate"]),
            _number(found["high_rate_gap_estimate"], 4),
            _number(found["granular_gain_db"], 3),
            str(found["states"] or "-"),
            f"{found['throughput'] / 1e6:.1f}",
        )
    return table
