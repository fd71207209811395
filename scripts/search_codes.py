"""Search for parity-check polynomials of long trellis codes by their second moment.

    python scripts/search_codes.py --states 1024
    python scripts/search_codes.py --field 3 --states 2187

Polynomials drawn at random are ranked by the mean squared error of uniform noise, away from the
known start and the free end of a block; the better half is measured again on twice the samples
until one is left. Prints the best with their standard errors, and Ungerboeck's code of so many
states where there is one, measured likewise. `ltc.lattices.families.convolutional.CODES` has the
results. `--field P` searches codes over the integers modulo P, whose cosets are those of P^2 Z.
"""

import argparse
import math

import numpy as np
import torch
from rich.progress import track

from ltc.lattices import Section, Trellis
from ltc.lattices.families.convolutional import CODES, beginning

LENGTH = 1024


def sections(field: int, code: tuple[str, str]) -> tuple[Section, ...]:
    """Return the sections of a code up to the first that repeats, as `beginning` of binary ones."""
    if field == 2:
        return beginning(*code)
    checks = np.array([[int(digit) for digit in reversed(part)] for part in code])  # newest first
    memory = checks.shape[1] - 1
    powers = field ** np.arange(memory + 1)
    found = []
    for t in range(memory + 1):
        register = np.arange(min(field ** (t + 1), powers[-1]))[:, None]
        if t == memory:
            register = register + powers[-1] * np.arange(field)
        z0, z1 = (register[..., None] // powers % field @ checks.T % field).transpose(2, 0, 1)
        offset = np.arange(field**2) / field
        found.append(Section(register // field, field * z1 + z0, offset, float(field)))
    return tuple(found)


def second_moment(
    field: int, code: tuple[str, str], samples: int, seed: int
) -> tuple[float, float]:
    """Return the mean squared error per coordinate and its standard error."""
    return mean_error(Trellis(sections(field, code), LENGTH), samples, seed)


def mean_error(trellis: Trellis, samples: int, seed: int) -> tuple[float, float]:
    """Return what `second_moment` returns, of uniform noise on a trellis of LENGTH sections."""
    margin = 16 * trellis.states[-1].bit_length()
    count = math.ceil(samples / (LENGTH - 2 * margin))
    generator = torch.Generator().manual_seed(seed)
    x = trellis.sections[0].step * torch.rand(count, LENGTH, generator=generator)
    errors = (x - trellis.closest_point(x))[:, margin:-margin].double().square().mean(1)
    return float(errors.mean()), float(errors.std() / count**0.5)


def draw(field: int, memory: int, generator: torch.Generator) -> tuple[str, str]:
    """Return random polynomials: h0 of degree `memory` with h0(0) = 1, h1 between.

    In digits of the field, those of binary ones in octal.
    """
    if field == 2:
        inner = torch.randint(1, 1 << (memory - 1), (2,), generator=generator).tolist()
        return f"{2 * inner[0]:o}", f"{1 << memory | 2 * inner[1] | 1:o}"
    digits = torch.randint(field, (2, memory - 1), generator=generator).tolist()
    h1, h0 = ("".join(map(str, row)) for row in digits)
    return f"0{h1}0", f"1{h0}1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--field", type=int, default=2, choices=(2, 3, 5))
    parser.add_argument("--states", type=int, default=1024)
    parser.add_argument("--candidates", type=int, default=256)
    parser.add_argument("--samples", type=int, default=100_000, help="in the first round")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    field = options.field
    memory = round(math.log(max(options.states, 1), field))
    if memory < 3 or field**memory != options.states:
        parser.error(f"--states {options.states}: expected a power of {field}, at least {field**3}")
    generator = torch.Generator().manual_seed(options.seed)
    codes = list({draw(field, memory, generator) for _ in range(options.candidates)})
    codes.sort()
    samples, results = options.samples, []
    while True:
        seed = options.seed + samples
        results = [
            (*second_moment(field, code, samples, seed), code)
            for code in track(codes, f"{len(codes)} codes, {samples} samples", transient=True)
        ]
        results.sort()
        print(f"{len(codes):5} codes, {samples} samples: {results[0]}", flush=True)
        if len(codes) <= 4:
            break
        codes = [code for _, _, code in results[: len(codes) // 2]]
        samples *= 2
    if field == 2 and options.states in CODES and CODES[options.states] not in codes:
        known = CODES[options.states]
        results.append((*second_moment(field, known, samples, options.seed + samples), known))
    for moment, error, code in results:
        gap = 0.5 * math.log2(2 * math.pi * math.e * moment)
        print(f"{' '.join(code):>12}  {moment:.5f} +- {error:.5f}  gap {gap:.4f} bits")


if __name__ == "__main__":
    main()
