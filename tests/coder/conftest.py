"""Lattices along the rows of whole pictures, and coders of them."""

import numpy as np
import pytest

from ltc.codec.picture_files import PictureFileCoder
from ltc.coder.grid import GridCoder
from ltc.coder.levels import branches_of
from ltc.entropy import Context
from ltc.lattices import BW16, E8, Convolutional, Dn, DnDual, Zn
from ltc.transforms import Lapped

LATTICES = {
    "scalar": Zn(),
    "trellis-8": Convolutional(8),
    "trellis-16": Convolutional(16),
    "dn": Dn(4),
    "dn-dual": DnDual(4),
    "e8": E8(),
    "bw16": BW16(),
}
# Whose tables are fitted; dn and dn_dual are like E8, and BW16 takes three times as long.
FITTED = ["scalar", "trellis-8", "trellis-16", "e8"]


def _smooth(height, width, colours=3, seed=0):
    """Return a picture of 8 bits whose neighbours resemble each other, with an edge."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(height + 8, width + 8, colours))
    for axis in (0, 1):
        noise = np.cumsum(noise, axis)
        noise = noise - noise.mean(axis, keepdims=True)
    noise += 2 * rng.normal(size=noise.shape) + 60 * (np.arange(width + 8)[:, None] > width // 2)
    picture = 128 + 30 * (noise - noise.mean()) / noise.std()
    return np.clip(np.rint(picture[8:, 8:]), 0, 255).astype(np.uint8)


def _make(lattice, stride=4):
    transform = Lapped(3, stride, "biorthogonal")
    context = Context(transform.frequencies, branches_of(lattice).numbers)
    return GridCoder(transform, lattice, context, lmbda=50, gain=30.0)


@pytest.fixture(scope="session")
def lattices():
    """All of them, by name."""
    return LATTICES


@pytest.fixture(params=LATTICES)
def grid_lattice(request):
    """Each of them in turn."""
    return LATTICES[request.param]


@pytest.fixture(scope="session")
def smooth():
    """What makes a picture to compress."""
    return _smooth


@pytest.fixture(scope="session")
def make():
    """What makes a coder of whole pictures on a lattice."""
    return _make


@pytest.fixture(scope="module", params=FITTED)
def coder(request):
    model = _make(LATTICES[request.param])
    pictures = [_smooth(48, 64, seed=seed).astype(np.float32) - 128 for seed in range(3)]
    pictures.append(pictures[0][..., :1])
    model.fit(pictures, steps=[2.0, 8.0])
    return model


@pytest.fixture
def files(coder):
    return PictureFileCoder(
        coder, {"offset": 128.0, "gain": 30.0, "dimension": 3, "whole": "image"}
    )
