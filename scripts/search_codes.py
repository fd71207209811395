"""Search for the generator polynomials of trellis codes.

    python scripts/search_codes.py --states 1024
    python scripts/search_codes.py --states 256 --period 2

Polynomials drawn at random are ranked, with period 1 by the mean squared error of uniform noise,
away from the known start and the free end of a block; with longer periods, which are for low
rates, by rate + lmbda * distortion of the optimised encoder on the Gaussian source. The better
half is measured again on twice the samples until few are left. Prints the best, and the code of
`ltc.lattices.convolutional.CODES` measured likewise.
"""

import argparse
import math

import torch
from rich.progress import track
from torch import Tensor

from ltc.entropy import Exact
from ltc.lattices import Convolutional, Lattice
from ltc.lattices.convolutional import CODES
from ltc.model import LatticeTransformCoder
from ltc.quantizers import LatticeQuantizer, Layout
from ltc.refine import alternate, refine
from ltc.transforms import Identity

LENGTH = 1024
Code = tuple[str, ...]


class Candidate(Convolutional):
    """A code that need not be in the table."""

    def __init__(self, code: Code) -> None:
        self.code, self.length, self.period = code, LENGTH, len(code) // 2
        self.states = 1 << max(int(polynomial, 8) for polynomial in code).bit_length() - 1
        self.name = " ".join(code)

    @property
    def surrogate(self) -> Lattice:
        """A short code of the same period, whose masses are the same."""
        return Candidate(draw(4, self.period, torch.Generator().manual_seed(0)))


def second_moment(code: Code, samples: int, seed: int) -> float:
    """Return the mean squared error per coordinate."""
    lattice = Candidate(code)
    margin = 16 * lattice.states.bit_length()
    count = math.ceil(samples / (LENGTH - 2 * margin))
    errors = lattice.sample_voronoi(count, torch.Generator().manual_seed(seed))
    return float(errors[:, margin:-margin].double().square().mean())


def coder(code: Code, lmbda: float) -> LatticeTransformCoder:
    """Return a coder of the Gaussian source."""
    lattice, layout = Candidate(code), Layout(LENGTH, 1)
    quantizer, entropy = LatticeQuantizer(lattice, rdo=True), Exact(lattice, layout.channel)
    return LatticeTransformCoder(Identity(1), quantizer, layout, entropy, lmbda)


def gaussian(samples: int, seed: int) -> Tensor:
    """Return blocks of the Gaussian source."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(math.ceil(samples / LENGTH), LENGTH, 1, generator=generator)


def fitted(code: Code, lmbda: float) -> dict[str, Tensor]:
    """Return what another code of the same period starts from."""
    model, x = coder(code, lmbda), gaussian(1 << 18, 0)
    model.initialise(x)
    refine(model, x)
    return model.state_dict()


def lagrangian(
    code: Code, samples: int, seed: int, lmbda: float, start: dict[str, Tensor]
) -> float:
    """Return rate + lmbda * distortion of the optimised encoder, bits per sample."""
    model = coder(code, lmbda)
    model.load_state_dict(start)
    return min(alternate(model, gaussian(samples, seed), rounds=4))


def draw(memory: int, period: int, generator: torch.Generator) -> Code:
    """Return random polynomials.

    With period 1, z1 of degree `memory` and free, z0 known from the state. With longer periods,
    both bits of the first coordinate depend on the new bit, those of the others on the state.
    """

    def word(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=generator))

    top = 1 << memory
    if period == 1:
        return f"{2 * word(1, top // 2):o}", f"{top | 2 * word(0, top // 2) | 1:o}"
    first = [top | word(0, top) | 1, word(0, 2 * top) | 1]
    return tuple(f"{p:o}" for p in (*first, *(word(1, top) for _ in range(2 * period - 2))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--states", type=int, default=1024)
    parser.add_argument("--period", type=int, default=1)
    parser.add_argument("--candidates", type=int, default=256)
    parser.add_argument("--samples", type=int, default=100_000, help="in the first round")
    parser.add_argument("--lmbda", type=float, default=1.1, help="with periods beyond 1")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    generator = torch.Generator().manual_seed(options.seed)
    memory = options.states.bit_length() - 1
    if options.period > 1:
        start = fitted(draw(min(memory, 4), options.period, generator), options.lmbda)

    def score(code: Code, samples: int, seed: int) -> float:
        if options.period == 1:
            return second_moment(code, samples, seed)
        return lagrangian(code, samples, seed, options.lmbda, start)

    codes = sorted({draw(memory, options.period, generator) for _ in range(options.candidates)})
    samples = options.samples
    while True:
        seed = options.seed + samples
        title = f"{len(codes)} codes, {samples} samples"
        ranked = sorted((score(c, samples, seed), c) for c in track(codes, title, transient=True))
        print(f"{title}: {ranked[0]}", flush=True)
        if len(codes) <= 4:
            break
        codes = [code for _, code in ranked[: len(codes) // 2]]
        samples *= 2
    known = CODES.get((options.states, options.period))
    if known is not None and known not in codes:
        ranked.append((score(known, samples, seed), known))
    for value, code in ranked:
        gap = f"  gap {0.5 * math.log2(2 * math.pi * math.e * value):.4f} bits"
        print(f"{' '.join(code):>12}  {value:.5f}{gap if options.period == 1 else ''}")


if __name__ == "__main__":
    main()
