"""Rate-distortion optimised encoding against enumeration."""

import copy
import itertools
import math

import pytest
import torch

from ltc.coder import LatticeTransformCoder
from ltc.distortion import Squared
from ltc.entropy import Exact
from ltc.entropy.point_table import REACH
from ltc.lattices import A2, E8, AnDual, Convolutional, DnDual, Zn
from ltc.quantizers import LatticeQuantizer, Layout
from ltc.training import refine
from ltc.training.starts import share_zero_and_mass
from ltc.transforms import MLP, Identity, Linear

LATTICES = [Zn(), A2(), DnDual(3), DnDual(4), AnDual(4), E8()]


def coder(lattice, transform, lmbda):
    torch.manual_seed(0)
    layout = Layout(lattice.dimension, transform.latent_dimension)
    quantizer = LatticeQuantizer(lattice, rdo=True)
    entropy = Exact(lattice, layout.channel)
    model = LatticeTransformCoder(transform, quantizer, layout, entropy, lmbda)
    model.initialise(torch.randn(4000, layout.block, transform.dimension))
    return model


@pytest.mark.parametrize("lattice", LATTICES, ids=lambda lattice: lattice.name)
@pytest.mark.parametrize("lmbda", [0.5, 2, 20])
@pytest.mark.parametrize("tables", [False, True])
def test_no_neighbour_is_better(lattice, lmbda, tables):
    n = lattice.dimension
    model = coder(lattice, Identity(n), lmbda)
    if tables:
        model.shift.value.uniform_(-0.2, 0.2)
        model.entropy.correction.value.uniform_(-1, 1)
    x = torch.randn(20, 1, n)
    points = model.encode(x)
    matrix = torch.as_tensor(lattice.generator_matrix, dtype=torch.float32)
    if n <= 4:
        coefficients = torch.tensor(list(itertools.product(range(-2, 3), repeat=n)))
    else:  # sums of two basis vectors or their negatives: 1 + 16 + 16^2 neighbours
        signed = torch.cat([torch.eye(n), -torch.eye(n)])
        sums = (signed[:, None] + signed).reshape(-1, n)
        coefficients = torch.cat([torch.zeros(1, n), signed, sums])
    neighbours = points.unsqueeze(1) + (coefficients.float() @ matrix)[:, None, None]
    blocks = x.unsqueeze(1).expand(-1, len(coefficients), -1, -1)

    def lagrangian(candidates, x):
        return model.bits(candidates) + lmbda * (model.decode(candidates) - x).square().sum((1, 2))

    with torch.no_grad():
        best = lagrangian(points, x)
        others = lagrangian(neighbours.flatten(0, 1), blocks.flatten(0, 1)).reshape(20, -1)
    assert (best <= others.min(1).values + 1e-3).all()


@pytest.mark.parametrize(("make", "lmbda"), [(Linear, 1.25), (Linear, 64), (MLP, 2)])
def test_refinement_lowers_the_lagrangian(make, lmbda):
    model = coder(E8(), make(8), lmbda)
    x = torch.randn(10_000, 1, 8)
    judges = x[-len(x) // 8 :]

    def lagrangian():
        points = model.encode(judges)
        with torch.no_grad():
            rate = float(model.bits(points).mean()) / 8
            return rate + lmbda * float((model.decode(points) - judges).square().mean())

    model.quantizer.rdo = False
    nearest = lagrangian()
    model.quantizer.rdo = True
    optimised = lagrangian()
    values = refine(model, x, rounds=6)
    assert optimised < nearest
    assert lagrangian() == pytest.approx(min(values), abs=1e-4)
    assert min(values) <= optimised + 1e-6


def test_a_fall_into_sending_nothing_is_undone():
    model = coder(Convolutional(8, 256), Linear(1), 1.0)
    x = torch.randn(200, 256, 1)
    with torch.no_grad():
        model.quantizer.log_scale += math.log(1.5)
        model.entropy.initialise(model.vectors(x), model.layout.channel)
    values = refine(model, x)
    nothing_sent = float(x[-len(x) // 8 :].square().mean())
    points = model.encode(x)
    assert float(model.bits(points).mean().detach()) / 256 > 0.03
    assert min(values) < nothing_sent - 2e-3


def test_a_shared_zero_helps_a_peaked_source(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    u = torch.rand(160, 256, 1, generator=generator) - 0.5
    x = -u.sign() * torch.log1p(-2 * u.abs()) / math.sqrt(2)
    trained = coder(Convolutional(8, 256), Linear(1), 2.0)
    trained.initialise(x)
    state = copy.deepcopy(trained.state_dict())
    with_zero = min(refine(trained, x))
    points = trained.shift.points + trained.shift.value
    assert (points[0, REACH : REACH + 2].abs() < 0.3).all()  # of both subsets
    trained.load_state_dict(state)
    monkeypatch.setattr(Convolutional, "with_shared_zero", lambda self, values: None)
    assert with_zero < min(refine(trained, x)) - 0.01


def test_points_that_share_zero_start_as_likely_as_zero():
    model = coder(Convolutional(8, 256), Linear(1), 1.2)
    x = torch.randn(100, 256, 1)
    share_zero_and_mass(model, x)
    points = model.shift.points.T
    stand_for = points + model.shift.value.T
    assert (stand_for == 0).sum() == 2
    kind = torch.arange(points.shape[1])  # each channel's coordinates are all alike
    smooth = model.entropy.density.log_density(stand_for, kind)
    found = model.entropy.log_density_of_kinds(points, kind)
    assert torch.allclose(found, smooth, atol=1e-4)


def test_steps_are_fitted_to_channels_of_low_rate():
    generator = torch.Generator().manual_seed(0)
    deviation = torch.tensor([4.0, 1.0, 0.3, 0.1])
    x = torch.randn(40, 1024, 4, generator=generator) * deviation
    model = coder(Convolutional(8, 1024), Linear(4), 1.0)
    model.quantizer.rdo = False
    model.initialise(x)
    with torch.no_grad():
        model.quantizer.log_scale.fill_(math.log(1.2))  # too fine
    model.entropy.initialise(model.vectors(x), model.layout.channel)
    lowest = min(refine(model, x))
    # Reverse water-filling at the slope 1: D = 1 / (2 ln 2) in what is sent.
    water = 1 / (2 * math.log(2))
    kept = deviation.square() > water
    rate = 0.5 * torch.log2(deviation.square()[kept] / water).sum()
    limit = rate + water * kept.sum() + deviation.square()[~kept].sum()
    assert lowest < float(limit) / 4 + 0.06
    scale = model.row_scale.flatten()
    assert 2 < scale[0] < 4  # the high-rate theory asks for 2.8


def test_channels_that_send_nothing_do_no_harm():
    generator = torch.Generator().manual_seed(0)
    deviation = 0.8 ** torch.arange(32)
    x = torch.randn(4000, 1, 32, generator=generator) * deviation
    model = coder(E8(), Linear(32), 2.0)
    model.initialise(x)
    with torch.no_grad():
        points = model.encode(x)
        rate = float(model.bits(points).mean()) / 32
        before = rate + 2 * float((model.decode(points) - x).square().mean())
    assert min(refine(model, x)) < 0.7 * before
    assert (model.encode(x).abs().amax((0, 1)) == 0).sum() >= 4  # whole coordinates are zero
    assert torch.linalg.svdvals(model.transform.synthesis_map.weight.detach())[0] < 4


def test_an_overflow_leaves_the_real_lattice(monkeypatch):
    def fail(self, points, table):
        raise OverflowError

    monkeypatch.setattr(Exact, "fit", fail)
    lattice = Convolutional(128, 64)
    model = coder(lattice, Linear(1), 8.0)
    refine(model, torch.randn(200, 64, 1))
    assert model.quantizer.lattice is lattice
    assert model.entropy.trellis is lattice.trellis
    assert (model.row_scale == 1).all()


def test_optimised_encoding_helps_a_nonlinear_synthesis():
    torch.manual_seed(0)
    lmbda = 8
    model = coder(E8(), MLP(8), lmbda)
    with torch.no_grad():  # bend it
        for parameter in model.transform.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    bent, x, held_out = copy.deepcopy(model.state_dict()), *torch.randn(2, 2000, 1, 8)
    lagrangian = {}
    for optimised in (False, True):
        model.load_state_dict(bent)
        model.quantizer.rdo = optimised
        refine(model, x, rounds=2)
        with torch.no_grad():
            points = model.encode(held_out)
            rate = float(model.bits(points).mean()) / 8
            distortion = float((model.decode(points) - held_out).square().mean())
        lagrangian[optimised] = rate + lmbda * distortion
    assert lagrangian[True] < lagrangian[False]


def test_refinement_leaves_the_real_lattice():
    lattice = Convolutional(128, 64)
    model = coder(lattice, Linear(1), 8.0)
    model.quantizer.rdo = False
    refine(model, torch.randn(200, 64, 1), rounds=2)
    assert model.quantizer.lattice is lattice
    assert model.entropy.trellis is lattice.trellis


def test_least_squares_synthesis_has_orthogonal_errors():
    torch.manual_seed(0)
    transform = Linear(4, latent_dimension=3, bias=True)
    x, latents = torch.randn(1000, 4), torch.randn(1000, 3)
    transform.fit_synthesis(latents, x, Squared())
    error = x - transform.synthesis(latents).detach()
    assert (latents.T @ error).abs().max() < 1e-2
    assert error.mean(0).abs().max() < 1e-4


def test_fitted_entropy_is_a_maximum_of_the_likelihood():
    torch.manual_seed(0)
    channel = torch.tensor([[0]])
    model = Exact(Zn(), channel)
    points = (2 * torch.randn(100_000, 1, 1)).round()
    model.initialise(torch.randn(1000, 1, 1), channel)
    model.fit(points, channel)
    _, counts = torch.unique(points, return_counts=True)
    probability = counts / counts.sum()
    empirical = float(-(probability * probability.log2()).sum())
    assert empirical <= float(model.bits(points, channel).mean().detach()) < empirical + 2e-3
    assert math.isfinite(empirical)


@pytest.mark.parametrize("bias", [0.0, 0.5])
def test_a_bias_of_the_analysis_costs_nothing(bias):
    # A constant that is no point of the real code is one of the surrogate's.
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(100, 512, 2, generator=generator) * torch.tensor([1.0, 0.02])
    model = coder(Convolutional(256, 512), Linear(2, bias=True), 8.0)
    model.quantizer.rdo = False
    model.initialise(x)
    with torch.no_grad():
        moved = torch.tensor([0.0, bias]) * model.quantizer.scale
        model.transform.analysis_map.bias.add_(moved)
        vectors = model.vectors(x)
        model.entropy.initialise(vectors, model.table(vectors))
    refine(model, x)
    with torch.no_grad():
        points = model.encode(x)
        rate = float(model.bits(points).mean()) / x[0].numel()
        distortion = float((model.decode(points) - x).square().mean())
    limit = 0.5 * (0.5 * math.log2(2 * 8 * math.log(2)) + 1 / (2 * math.log(2)) + 8 * 0.02**2)
    assert rate + 8 * distortion < limit + 0.03
