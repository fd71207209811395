"""What configurations choose: sources what suits them, experiments the paper's settings."""

import pytest
from omegaconf import OmegaConf

from ltc.cli.choices import composed
from ltc.files import config_directory
from ltc.runs.build import build_coder, build_distortion, build_quantizer


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], "linear"),
        (["source=audio"], "linear"),
        (["source=banana"], "mlp"),
        (["experiment=sawbridge_block"], "mlp"),
        (["transform=linear", "source=banana"], "linear"),
        (["source=banana", "transform=identity"], "identity"),
        (["experiment=banana", "transform=linear"], "linear"),
        (["experiment=banana", "source=iid_gaussian"], "linear"),
    ],
)
def test_a_source_chooses_the_transform_that_suits_it(overrides, expected):
    assert composed("train", overrides).name.transform == expected


# What a run of vectors needs to know of a source without its data.
DIMENSIONS = {
    "array": 16,  # of `physics`
    "audio": 16,
    "banana": 2,
    "image_patches": 16,
    "sawbridge": 1024,
    "speech_stft": 33,
}
EXPERIMENTS = sorted(path.stem for path in (config_directory() / "experiment").glob("*.yaml"))


def values(experiment):
    """Return what an experiment sweeps over: of each key its values."""
    config = OmegaConf.load(config_directory() / "experiment" / f"{experiment}.yaml")
    return {key: str(value).split(",") for key, value in config.hydra.sweeper.params.items()}


@pytest.mark.parametrize("experiment", [name for name in EXPERIMENTS if name != "tune"])
def test_experiments_can_be_built(experiment):
    swept = values(experiment)
    first = [f"{key}={value[0]}" for key, value in swept.items() if key != "quantizer"]
    known = {path.stem for path in (config_directory() / "quantizer").glob("*.yaml")}
    assert known.issuperset(swept["quantizer"])
    assert min(map(float, swept["lmbda"])) > 0
    published = ["entropy=monte_carlo", "entropy.density=realnvp", "quantizer.rdo=false"]
    for quantizer, entropy in ((swept["quantizer"][-1], []), (swept["quantizer"][1], published)):
        if quantizer == "trellis_32768" or (entropy and "trellis" in quantizer):
            continue  # slow to build; no lattice of the paper
        config = composed(
            "train", [f"experiment={experiment}", f"quantizer={quantizer}", *first, *entropy]
        )
        built = build_quantizer(config)
        own = config.source.get("dimension") or built.lattice.dimension
        dimension = DIMENSIONS.get(config.name.source, own)
        coder = build_coder(config, built, dimension, build_distortion(config))
        latent = config.transform.get("latent_dimension") or dimension
        assert coder.layout.channel.max() + 1 == latent
