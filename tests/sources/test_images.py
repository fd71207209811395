"""Whole pictures as a source: what is held out, how much, and what is refused."""

import logging
import os
from pathlib import Path

import numpy as np
import pooch
import pytest
import requests
import torch
from PIL import Image

from ltc.errors import InputError
from ltc.sources import Images, images
from ltc.sources import kodak as fetching

KODAK = Path(os.environ.get("LTC_KODAK", Path(__file__).parents[3] / "shared/data/kodak"))


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)

    def write(*shapes):
        for number, shape in enumerate(shapes):
            picture = rng.integers(0, 256, shape).astype(np.uint8)
            Image.fromarray(picture).save(tmp_path / f"{number:02}.png")
        return tmp_path

    return write


def test_the_covariance_is_that_of_all_held_out_pixels(folder):
    source = Images(folder((20, 30, 3), *[(8, 8, 3)] * 9, (7, 9)))
    assert [picture.shape for picture in source.test] == [(20, 30, 3), (7, 9, 1)]
    pixels = source.held_out(0, torch.Generator())
    assert pixels.shape == (663, 3)
    assert torch.allclose(source.covariance, torch.cov(pixels.double().T, correction=0), rtol=1e-12)


@pytest.mark.parametrize("shape", [(5, 5, 3), (1, 1, 3)])
def test_held_out_pixels_that_do_not_differ_are_refused(folder, shape):
    root = folder((9, 9, 3), (8, 8, 3))
    Image.fromarray(np.full(shape, 7, np.uint8)).save(root / "00.png")
    with pytest.raises(InputError, match="1 held-out pictures do not differ"):
        Images(root)


def test_of_very_many_pictures_as_many_are_kept_as_fit_in_memory(folder, monkeypatch, caplog):
    root = folder(*[(8, 8, 3)] * 32)
    monkeypatch.setattr(images, "MOST_TRAIN", 5 * 192)
    monkeypatch.setattr(images, "MOST_TEST", 2 * 192)
    with caplog.at_level(logging.WARNING):
        source = Images(root)
    assert (len(source.train), len(source.test)) == (5, 2)
    assert "measured on 2 of 4 held-out pictures" in caplog.text
    monkeypatch.setattr(images, "MOST_TEST", 1)  # one at least
    assert len(Images(root).test) == 1


@pytest.fixture
def offered(tmp_path, monkeypatch):
    """What is to be downloaded: small pictures under the names of the Kodak pictures."""
    monkeypatch.setenv("LTC_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    paths = [tmp_path / name for name in fetching.NAMES]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (5, 7, 3)).astype(np.uint8)).save(path)
    calls = []

    def download(self, url, output_file, *_, **__):
        calls.append(url)
        Path(output_file).write_bytes((tmp_path / url.rpartition("/")[2]).read_bytes())

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", download)
    monkeypatch.setattr(fetching, "PIXELS", fetching.pixel_sum(paths))
    return calls


def test_the_kodak_pictures_are_fetched_once_and_held_out(offered):
    for _ in range(2):
        source = Images("kodak", crop=16)
        assert len(offered) == len(source.test) == 24
        assert {picture.shape for picture in source.test} == {(5, 7, 3)}
        assert len(source.train) == len(images.TRAIN)


def test_other_pictures_than_the_kodak_pictures_are_refused(offered, monkeypatch, tmp_path):
    monkeypatch.setattr(fetching, "PIXELS", "0" * 64)
    with pytest.raises(InputError, match="holds other pictures"):
        Images("kodak")

    def fail(*_, **__):
        raise requests.exceptions.ConnectionError("no network")

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", fail)
    with pytest.raises(InputError, match=r"cannot be fetched.*source\.root=DIR"):
        Images("kodak")
    assert not any((tmp_path / "cache").glob("kodak*"))


@pytest.mark.skipif(not KODAK.is_dir(), reason=f"no Kodak pictures in {KODAK}")
def test_the_sum_is_that_of_the_kodak_pictures():
    assert fetching.pixel_sum(sorted(KODAK.glob("*.png"))) == fetching.PIXELS
