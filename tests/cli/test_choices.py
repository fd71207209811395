"""What configurations choose: sources what suits them, experiments the paper's settings."""

import pytest

from ltc.cli.choices import composed


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], "linear"),
        (["source=audio"], "linear"),
        (["source=banana"], "mlp"),
        (["source=sawbridge", "source.points=8"], "mlp"),
        (["transform=linear", "source=banana"], "linear"),
        (["source=banana", "transform=identity"], "identity"),
        (["experiment=banana", "transform=linear"], "linear"),
        (["experiment=banana", "source=iid_gaussian"], "linear"),
    ],
)
def test_a_source_chooses_the_transform_that_suits_it(overrides, expected):
    assert composed("train", overrides).name.transform == expected
