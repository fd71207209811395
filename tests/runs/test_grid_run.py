"""Runs on whole pictures."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

import ltc
from ltc.codec import Payload
from ltc.errors import InputError
from ltc.runs.build import build_grid_coder

DECODE = """
import sys, torch, numpy as np
from ltc.codec import Payload
from ltc.runs.checkpoint import load_coder
payload, _ = load_coder(sys.argv[1]).decompress(open(sys.argv[2], "rb").read())
np.save(sys.argv[3], payload.arrays["image"])
"""


def test_a_run_of_pictures_and_another_machine(tmp_path):
    run = ltc.train(
        "source=images",
        "source.crop=64",
        "transform.overlap=biorthogonal",
        "entropy.steps=[8,16]",
        "logger=csv",
        lmbda=20,
        folder=tmp_path / "run",
    )
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["bitstream_rate"] == pytest.approx(metrics["rate"], rel=0.01)
    assert 26 < metrics["psnr_db"] < 45
    # The numbers of the table again, by hand.
    psnr, sizes = [], []
    for picture in run.source.test:
        payload = Payload("image", {"image": picture.squeeze()}, ".png")
        data = run.run.files.compress(payload)
        sizes.append(8 * len(data) / payload.arrays["image"].shape[0] / picture.shape[1])
        error = payload.squared_error(run.run.files.decompress(data)[0])
        psnr.append(10 * math.log10(255**2 / error))
    assert metrics["bits_per_pixel"] == pytest.approx(np.mean(sizes))
    assert metrics["psnr_db"] == pytest.approx(np.mean(psnr))
    shown = [axes.images[0].get_array() for axes in run.figure().axes]
    assert [(picture.shape, len(np.unique(picture)) > 9) for picture in shown] == 2 * [
        (run.source.test[0].squeeze().shape, True)
    ]
    picture = run.source.test[0].squeeze()[:100, :75]
    (tmp_path / "x.ltc").write_bytes(run.compress(picture))
    here = run.decompress((tmp_path / "x.ltc").read_bytes())
    files = [str(tmp_path / name) for name in ("run", "x.ltc", "there.npy")]
    subprocess.run(
        [sys.executable, "-c", DECODE, *files],
        check=True,
        env={**os.environ, "ATEN_CPU_CAPABILITY": "default", "NUMBA_NUM_THREADS": "1"},
    )
    assert (np.load(tmp_path / "there.npy") == here).all()


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["source=images", "transform=linear"], "whole pictures need transform=lapped"),
        (["source=images", "entropy=exact"], "whole pictures need entropy=context"),
        (["source=images", "quantizer=leech"], "along rows of a trellis of two or four cosets"),
        (["source=images", "distortion=absolute"], "coded for squared error"),
        (["source=images", "bound=auto"], "use bound=none"),
        (["source=images", "source.crop=0"], "source.crop"),
        (["source=images", "source.crop=1e9"], "an integer from 1 to 1024"),
        (["source=images", "source.block=4"], "source.block=4 is of vectors"),
        (["source=images", "quantizer.scale=2"], "quantizer.scale=2 is of vectors"),
        (["source=images", "quantizer=nested", "quantizer.fine=scalar"], "has a fixed rate"),
        (["source=images", "transform.stride=66"], "an integer from 1 to 64"),
        (["source=images", "lmbda=1e-9"], "lmbda=1e-09; expected at least"),
        (["source=images", "source.root="], "expected a folder of"),
        (["transform=lapped"], "are for whole pictures, source=images"),
        (["entropy=context"], "are for whole pictures, source=images"),
    ],
)
def test_choices_that_do_not_go_together_are_named(overrides, told, tmp_path):
    with pytest.raises(InputError, match=told):
        ltc.train(*overrides, "logger=csv", folder=tmp_path / "run")


@pytest.mark.parametrize("wrong", [{}, {"gain": "much"}, {"dimension": 2.5}, {"offset": None}])
def test_a_checkpoint_without_its_facts_is_refused(wrong):
    known = (
        {"dimension": 3, "offset": 100.0, "gain": 50.0, "whole": "image"} | wrong if wrong else {}
    )
    with pytest.raises(InputError, match="the source's"):
        build_grid_coder(ltc.configuration("source=images"), known)
