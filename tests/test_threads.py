"""Numbers do not depend on how many threads a machine has."""

import pytest
import torch

from ltc.measurement import summarise
from ltc.sources._folder import normalise
from ltc.transforms.base import principal_axes


def summaries(samples):
    return [summarise(samples[0], samples[1])]


def axes(samples):
    return [principal_axes(samples.T, 2), torch.cov(samples[:, :10])]


def scales(samples):
    return normalise(samples.T.clone(), samples.T.clone(), "")[2:]


@pytest.mark.parametrize("computed", [summaries, axes, scales])
def test_sums_have_one_order(computed):
    samples = torch.rand(2, 1 << 18, generator=torch.Generator().manual_seed(0))
    before = torch.get_num_threads()
    try:
        found = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(computed(samples.double()))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(
            torch.equal(torch.as_tensor(a), torch.as_tensor(b))
            for a, b in zip(found[0], other, strict=True)
        )
