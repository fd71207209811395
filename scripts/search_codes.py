"""Search for parity-check polynomials of long trellis codes by their second moment.

    python scripts/search_codes.py --states 1024

Polynomials drawn at random are ranked by the mean squared error of uniform noise, away from the
known start and the free end of a block; the better half is measured again on twice the samples
until one is left. Prints the best with their standard errors, and Ungerboeck's code of so many
states where there is one, measured likewise. `ltc.lattices.families.convolutional.CODES` has the
results.
"""

import argparse
import math

import torch
from rich.progress import track

from ltc.lattices import Trellis
from ltc.lattices.families.convolutional import CODES, beginning

LENGTH = 1024


def second_moment(code: tuple[str, str], samples: int, seed: int) -> tuple[float, float]:
    """Return the mean squared error per coordinate and its standard error."""
    trellis = Trellis(beginning(*code), LENGTH)
    margin = 16 * trellis.states[-1].bit_length()
    count = math.ceil(samples / (LENGTH - 2 * margin))
    generator = torch.Generator().manual_seed(seed)
    x = trellis.sections[0].step * torch.rand(count, LENGTH, generator=generator)
    errors = (x - trellis.closest_point(x))[:, margin:-margin].double().square().mean(1)
    return float(errors.mean()), float(errors.std() / count**0.5)


def draw(memory: int, generator: torch.Generator) -> tuple[str, str]:
    """Return random polynomials: h0 of degree `memory` with h0(0) = 1, h1 between."""
    inner = torch.randint(1, 1 << (memory - 1), (2,), generator=generator).tolist()
    return f"{2 * inner[0]:o}", f"{1 << memory | 2 * inner[1] | 1:o}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--states", type=int, default=1024)
    parser.add_argument("--candidates", type=int, default=256)
    parser.add_argument("--samples", type=int, default=100_000, help="in the first round")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.states < 8 or options.states & (options.states - 1):
        parser.error(f"--states {options.states}: expected a power of two of at least 8")
    generator = torch.Generator().manual_seed(options.seed)
    memory = options.states.bit_length() - 1
    codes = list({draw(memory, generator) for _ in range(options.candidates)})
    codes.sort()
    samples, results = options.samples, []
    while True:
        seed = options.seed + samples
        results = [
            (*second_moment(code, samples, seed), code)
            for code in track(codes, f"{len(codes)} codes, {samples} samples", transient=True)
        ]
        results.sort()
        print(f"{len(codes):5} codes, {samples} samples: {results[0]}", flush=True)
        if len(codes) <= 4:
            break
        codes = [code for _, _, code in results[: len(codes) // 2]]
        samples *= 2
    if options.states in CODES and CODES[options.states] not in codes:
        known = CODES[options.states]
        results.append((*second_moment(known, samples, options.seed + samples), known))
    for moment, error, code in results:
        gap = 0.5 * math.log2(2 * math.pi * math.e * moment)
        print(f"{' '.join(code):>12}  {moment:.5f} +- {error:.5f}  gap {gap:.4f} bits")


if __name__ == "__main__":
    main()
