"""Whole pictures through every transform of them: a new one is tested by its file in `conf`."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import ltc
from ltc.codec import Aim, Payload
from ltc.codec.picture_files import PictureFileCoder
from ltc.runs.build import build_grid_coder
from ltc.transforms import conv, lapped

FACTS = {"offset": 128.0, "gain": 30.0, "dimension": 3, "whole": "image"}
CONF = Path(ltc.__file__).parents[1] / "conf" / "transform"


def build(name, *more):
    """Return the coder of a run, with blocks of 4 x 4."""
    overrides = ["source=images", f"transform={name}", "transform.stride=4", *more]
    return build_grid_coder(ltc.configuration(*overrides, "entropy.steps=[8]"), FACTS)


def is_of_pictures(name):
    try:
        build(name)
    except Exception:  # it has no stride, or is one of vectors or sounds
        return False
    return True


NAMES = [path.stem for path in sorted(CONF.glob("*.yaml")) if is_of_pictures(path.stem)]


def of(array, suffix=".png"):
    return Payload("image", {"image": array}, suffix)


def fitted(smooth, *choices):
    """Return a coder of files that has learned from two pictures and a grey one."""
    model = build(*choices)
    values = [smooth(64, 72, seed=seed).astype(np.float32) - 128 for seed in range(2)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lapped, "LEARNED", 20)
        patch.setattr(conv, "LEARNED", 20)
        model.fit([*values, values[0][..., :1]], steps=[8.0])
    return PictureFileCoder(model, FACTS)


@pytest.fixture(scope="module", params=NAMES)
def files(request, smooth):
    return fitted(smooth, request.param, "quantizer=trellis_8")


def test_there_are_four_of_them():
    assert {"lapped", "dct", "klt", "conv"} <= set(NAMES)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 30, 3), (16, 16, 1), (40, 52, 3)])
def test_synthesis_undoes_analysis_of_pictures_of_any_size(files, shape, smooth):
    values = smooth(*shape).astype(np.float32) - 128
    planes = files.model.planes(values)
    assert len(planes) == 16 * shape[2]
    found = files.model.values(planes, step=0.0)[: shape[0], : shape[1]]
    assert found.shape == shape
    assert np.abs(found - values).max() < 1e-2


@pytest.mark.parametrize("quantizer", ["scalar", "e8"])
@pytest.mark.parametrize("name", NAMES)
def test_other_quantizers_go_with_it(name, quantizer, smooth):
    files, array = fitted(smooth, name, f"quantizer={quantizer}"), smooth(48, 40, seed=7)
    written = files.encode(of(array), aim=Aim("psnr", 34.0))
    error = np.square(
        files.decompress(written.data)[0].arrays["image"] - array.astype(float)
    ).mean()
    assert 10 * math.log10(255**2 / error) == pytest.approx(34, abs=0.1)
    assert 32 * len(written.streams[0]) == pytest.approx(written.bits, rel=3e-3, abs=64)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300, 3), (37, 3, 3), (5, 29), (48, 40, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pictures_of_any_kind_come_back(files, shape, dtype, smooth):
    array = smooth(*shape[:2], *(shape[2:] or [1])).reshape(shape)
    array = array.astype(dtype) * (np.iinfo(dtype).max // 255)
    found = files.decompress(files.compress(of(array), aim=Aim("quality", 85)))[0].arrays["image"]
    assert found.dtype == dtype
    assert found.shape == shape
    assert np.abs(found.astype(float) - array).max() < 12 * np.iinfo(dtype).max / 255


def test_a_size_that_is_asked_for_is_reached(files, smooth):
    data = files.compress(of(smooth(96, 128, seed=4)), aim=Aim("bpp", 2.0))
    assert 8 * len(data) / (96 * 128) == pytest.approx(2.0, rel=0.01)


def test_what_a_decoder_takes_levels_for_is_what_the_encoder_says(files, smooth):
    from ltc.codec import grid_stream
    from ltc.codec.files import silent

    model = files.model
    encoded = model.encode(model.planes(smooth(40, 52).astype(np.float32) - 128), 8 << 10)
    words = grid_stream.encode(model, encoded.level)
    _, place = grid_stream.decode(model, words, encoded.level.shape, silent)
    assert (place == encoded.place).all()


DECODE = """
import sys, torch, numpy as np
sys.path.insert(0, sys.argv[1])
import ltc
from ltc.codec.picture_files import PictureFileCoder
from ltc.runs.build import build_grid_coder
saved = torch.load(sys.argv[2], weights_only=True)
model = build_grid_coder(ltc.configuration(*saved["overrides"]), saved["facts"])
model.load_state_dict(saved["state"])
payload, _ = PictureFileCoder(model, saved["facts"]).decompress(saved["data"])
np.save(sys.argv[3], payload.arrays["image"])
"""


def test_another_machine_decodes_the_same_pixels(files, tmp_path, request, smooth):
    name = request.node.callspec.params["files"]
    data = files.compress(of(smooth(100, 75, seed=3)))
    overrides = ["source=images", f"transform={name}", "transform.stride=4", "quantizer=trellis_8"]
    state = files.model.state_dict()
    saved = {"overrides": overrides, "facts": FACTS, "state": state, "data": data}
    torch.save(saved, tmp_path / "saved.pt")
    place = [str(CONF.parents[1]), str(tmp_path / "saved.pt"), str(tmp_path / "there.npy")]
    subprocess.run(
        [sys.executable, "-c", DECODE, *place],
        check=True,
        env={**os.environ, "ATEN_CPU_CAPABILITY": "default", "NUMBA_CPU_NAME": "generic"},
    )
    here = files.decompress(data)[0].arrays["image"]
    assert (np.load(tmp_path / "there.npy") == here).all()
