"""Photographs: the split, the scaling and folders that are not as they should be."""

import logging
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from ltc.errors import InputError
from ltc.sources import ImagePatches
from ltc.sources.image_patches import TEST, TRAIN, read_grey


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path):
    """Twelve pictures, each with grey levels of its own."""
    rng = np.random.default_rng(0)
    for i in range(12):
        pixels = rng.integers(20 * i, 20 * i + 20, (20, 30)).astype(np.uint8)
        save(tmp_path / ("a" if i % 2 else "b") / f"{i:02}.PNG", pixels)
    return tmp_path


def pixels(source, values):
    return source.gain * values + source.offset


def pictures(source, rows):
    return set((pixels(source, rows).mean(1) // 20).int().tolist())


def test_bundled_photographs():
    assert not set(TRAIN) & set(TEST)
    source = ImagePatches(patch=8)
    assert source.dimension == 64
    assert 20 < source.gain < 100
    # The first held-out patch is the corner of the first held-out picture.
    corner = read_grey(Path(skimage.data.__file__).parent / TEST[0])[:8, :8].reshape(-1)
    assert pixels(source, source.test[0]).numpy() == pytest.approx(corner, abs=1e-3)
    # The patch that follows the first one of the first training picture, without overlap.
    follower = read_grey(Path(skimage.data.__file__).parent / TRAIN[0])[:8, 8:16].reshape(-1)
    following = pixels(source, source.train[source.successive])
    assert following.numpy() == pytest.approx(follower, abs=1e-3)
    count = sum(
        (h // 8) * (w // 8)
        for h, w in (read_grey(Path(skimage.data.__file__).parent / name).shape for name in TEST)
    )
    assert len(source.test) == count


def test_split_by_picture(folder):
    source = ImagePatches(patch=4, stride=2, root=folder)
    train, test = pictures(source, source.train), pictures(source, source.test)
    assert len(test) == 2
    assert not train & test
    assert train | test == set(range(12))
    assert len(source.train) == 10 * 9 * 14
    assert len(source.test) == 2 * 5 * 7
    assert ImagePatches(patch=4, stride=2, root=folder).train.equal(source.train)


def test_broken_pictures_are_named(folder, caplog):
    (folder / "a" / "00_broken.png").write_bytes(b"not a picture")
    whole = (folder / "b" / "00.PNG").read_bytes()
    (folder / "b" / "cut.png").write_bytes(whole[: len(whole) // 2])
    save(folder / "tiny.png", np.zeros((2, 2), np.uint8))
    save(folder / "transparent.png", np.full((20, 20, 4), 90, np.uint8))
    (folder / "folder.png").mkdir()
    with caplog.at_level(logging.WARNING, "ltc"):
        source = ImagePatches(patch=4, root=folder)
    assert "skipped 4 of 16 files" in caplog.text
    for name in ("00_broken.png", "cut.png", "tiny.png", "transparent.png"):
        assert name in caplog.text
    assert len(pictures(source, source.test)) == 2


def test_useless_folders(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"none of 1 files.*a\.png"):
        ImagePatches(root=tmp_path)
    save(tmp_path / "b.png", np.full((8, 8), 7, np.uint8))
    with pytest.raises(InputError, match="0 files to train on and 1 held out"):
        ImagePatches(root=tmp_path)
    save(tmp_path / "c.png", np.full((8, 8), 7, np.uint8))
    with pytest.raises(InputError, match="constant"):
        ImagePatches(root=tmp_path)


@pytest.mark.parametrize(
    ("pixels", "grey"),
    [
        (np.full((4, 4, 3), 90, np.uint8), 90),
        (np.dstack([np.full((4, 4, 3), 90, np.uint8), np.full((4, 4), 255, np.uint8)]), 90),
        (np.full((4, 4), 90 * 256 + 5, np.uint16), 90),
        (np.full((4, 4), True), 255),
    ],
    ids=["rgb", "rgba", "16 bits", "1 bit"],
)
def test_read_grey(tmp_path, pixels, grey):
    save(tmp_path / "picture.png", pixels)
    result = read_grey(tmp_path / "picture.png")
    assert result.dtype == np.uint8
    assert (result == grey).all()


def test_patches_are_those_of_numpy(folder):
    source = ImagePatches(patch=3, stride=2, root=folder)
    picture = read_grey(sorted(folder.rglob("*.PNG"))[1])  # the first is held out
    windows = np.lib.stride_tricks.sliding_window_view(picture, (3, 3))[::2, ::2].reshape(-1, 9)
    found = pixels(source, source.train[: len(windows)])
    assert found.numpy() == pytest.approx(windows, abs=1e-3)


def test_held_out_pictures_without_contrast(tmp_path):
    save(tmp_path / "a.png", np.full((8, 8), 7, np.uint8))
    save(tmp_path / "b.png", np.arange(64, dtype=np.uint8).reshape(8, 8))
    with pytest.raises(InputError, match=r"4 held-out vectors do not differ.*add files"):
        ImagePatches(root=tmp_path)


def test_many_pixels_are_thinned(folder, monkeypatch):
    monkeypatch.setattr("ltc.sources._folder.LIMIT", 12 * 16 * 10)
    source = ImagePatches(patch=4, stride=1, root=folder)
    assert len(source.train) == 100
    assert len(pictures(source, source.train)) == 10
