"""`ltc-compress` and `ltc-decompress`: what they read, overwrite, refuse and print."""

import argparse
import errno
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ltc import __version__
from ltc.cli import compress as cli
from ltc.codec import FileCoder, Payload
from ltc.errors import InputError
from ltc.runs.checkpoint import load_coder


def test_the_limit_can_be_raised(trained, call, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(1000))
    files = [tmp_path / name for name in ("x.npy", "x.npy.ltc", "y.npy")]
    for command, names in (("compress", files[:2]), ("decompress", files[1:])):
        arguments = (*names, f"ckpt={trained('array')}")
        code, _, printed = call(getattr(cli, command), *arguments, "--largest", 7999)
        assert code == 2
        assert "raise the limit with --largest" in printed
        code, _, printed = call(getattr(cli, command), *arguments, "--largest", "8KB")
        assert code == 0, printed


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500M", 500 << 20),
        ("2G", 2 << 30),
        ("1 tib", 1 << 40),
        ("2kb", 2000),
        ("1e9", 10**9),
        ("7999B", 7999),
        ("0.5K", 512),
    ],
)
def test_sizes_have_units(text, size):
    assert cli._size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "0", "many", "1.2.3", "G", "2X", "nan", "inf", "1e99"])
def test_what_is_no_size_is_one_message(call, text):
    for command in (cli.compress, cli.decompress):
        code, _, printed = call(command, "x.npy", "ckpt=none", "--largest", text)
        assert code == 2
        expected = "expected a number of bytes, such as 500M or 2G\n"
        assert printed == f"error: --largest {text}; {expected}"


def test_endings_that_cannot_be_written_are_refused_before_the_work(
    trained, call, tmp_path, monkeypatch
):
    np.save(tmp_path / "x.npy", np.zeros(8))
    Image.fromarray(np.zeros((16, 16), np.uint16)).save(tmp_path / "x.png")
    files = {"x.npy": trained("array"), "x.png": trained("image")}
    for name, run in files.items():
        assert call(cli.compress, name, f"ckpt={run}")[0] == 0
    monkeypatch.setattr(FileCoder, "_encode", None)
    monkeypatch.setattr(FileCoder, "_decode", None)
    for command, name, output, expected in (
        ("compress", "x.npy", "y.npy", "y.npy would be an .ltc file"),
        ("compress", "x.npy", "y.PNG", "y.PNG would be an .ltc file"),
        ("decompress", "x.npy.ltc", "y.npz", None),
        ("decompress", "x.npy.ltc", "y.png", "cannot write array as .png; use .npy"),
        ("decompress", "x.png.ltc", "y.npy", "cannot write image as .npy; use .png"),
        ("decompress", "x.png.ltc", "y.gif", "cannot write image as .gif; use .png"),
        ("decompress", "x.png.ltc", "y.jpg", ".jpg holds 8 bits, this picture has 16; use .png"),
    ):
        code, _, printed = call(getattr(cli, command), name, output, f"ckpt={files[name[:5]]}")
        if expected is None:  # otherwise nothing would have been decoded anyway
            assert code == 1
            assert "NoneType" in printed
        else:
            assert code == 2
            assert expected in printed
    assert not list(tmp_path.glob("y.*"))


def test_outputs_are_not_overwritten(trained, call, tmp_path):
    path, out = tmp_path / "x.npy", tmp_path / "out.ltc"
    np.save(path, np.zeros(8))
    out.write_bytes(b"precious")
    code, _, printed = call(cli.compress, path, out, f"ckpt={trained('array')}")
    assert code == 2
    assert "--force" in printed
    assert out.read_bytes() == b"precious"
    arguments = (path, out, f"ckpt={trained('array')}", "--force")
    assert call(cli.compress, *arguments)[0] == 0
    assert out.read_bytes() != b"precious"


def test_an_output_without_a_name_is_asked_for(trained, call, tmp_path):
    path, ckpt = tmp_path / "x.npy", f"ckpt={trained('array')}"
    np.save(path, np.zeros(8))
    packed = tmp_path / "inner" / ".ltc"
    assert call(cli.compress, path, packed, ckpt)[0] == 0
    code, _, printed = call(cli.decompress, packed, ckpt)
    assert code == 2
    assert "leaves no name for the output" in printed
    assert sorted(os.listdir(tmp_path)) == ["inner", "x.npy"]


def test_the_input_is_not_lost(trained, call, tmp_path):
    path, link, ckpt = tmp_path / "x.npy", tmp_path / "link.npy", f"ckpt={trained('array')}"
    np.save(path, np.zeros(8))
    link.symlink_to(path)
    before = path.read_bytes()
    for output in (path, link):
        code, _, printed = call(cli.compress, path, "--force", output, ckpt)
        assert code == 2
        assert "is the input" in printed
    assert path.read_bytes() == before
    assert call(cli.compress, path, ckpt)[0] == 0
    packed = tmp_path / "x.npy.ltc"
    before = packed.read_bytes()
    assert call(cli.decompress, packed, packed, ckpt, "--force")[0] == 2
    assert packed.read_bytes() == before


def test_numbers_of_another_scale_are_warned_of(trained, call, tmp_path):
    numbers = np.random.default_rng(0).normal(size=800)
    for offset, warned in ((0, False), (1e5, True)):
        np.save(tmp_path / "x.npy", numbers + offset)
        code, _, printed = call(
            cli.compress, tmp_path / "x.npy", f"ckpt={trained('array')}", "--force"
        )
        assert code == 0, printed
        assert ("was trained on others" in printed) == warned


def test_a_flat_picture_is_of_no_other_scale(trained, call, tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "x.png")
    code, _, printed = call(cli.compress, tmp_path / "x.png", f"ckpt={trained('image')}")
    assert code == 0, printed
    assert "was trained on others" not in printed


def test_a_decoder_takes_no_rate(call):
    code, _, printed = call(cli.decompress, "x.ltc", "x.png", "bpp=0.5", "ckpt=run")
    assert code == 2
    assert "unrecognized arguments" in printed


def test_only_regular_files_are_overwritten(trained, call, tmp_path):
    path, ckpt = tmp_path / "x.npy", f"ckpt={trained('array')}"
    np.save(path, np.zeros(8))
    pipe, link, target = (tmp_path / name for name in ("pipe", "link", "target"))
    os.mkfifo(pipe)
    target.write_bytes(b"old")
    link.symlink_to(target)
    for output, expected in [(pipe, "use -"), ("/dev/null", "use -"), (tmp_path, "is a folder")]:
        for command, source in (("compress", path), ("decompress", path)):
            arguments = (source, output, ckpt, "--force")
            code, _, printed = call(getattr(cli, command), *arguments)
            assert code == 2
            assert expected in printed
    assert pipe.is_fifo()
    assert Path("/dev/null").is_char_device()
    assert call(cli.compress, path, link, ckpt)[0] == 2
    assert call(cli.compress, path, link, ckpt, "--force")[0] == 0
    assert link.is_symlink()
    assert target.read_bytes().startswith(b"LTC")


def test_the_files_of_its_own_output_are_not_replaced(tmp_path, monkeypatch):
    """`ltc-compress x.npy /dev/stdout ckpt=... > file` would write the file that is open."""
    with open(tmp_path / "out", "wb") as file, monkeypatch.context() as patch:
        patch.setattr(os, "fstat", lambda number, real=os.fstat: real(file.fileno()))
        options = argparse.Namespace(input="-", force=True)
        with pytest.raises(InputError, match="use -"):
            cli._check_output(str(tmp_path / "out"), options)


@pytest.mark.parametrize("full", [True, False])
def test_a_full_or_closed_output_is_one_line(trained, call, tmp_path, monkeypatch, full):
    path, ckpt = tmp_path / "x.npy", f"ckpt={trained('array')}"
    np.save(path, np.zeros(8))
    if full:
        descriptor = os.open("/dev/full", os.O_WRONLY)
    else:
        reading, descriptor = os.pipe()
        os.close(reading)
    with os.fdopen(descriptor, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        code, _, printed = call(cli.compress, path, "-", ckpt)
    assert code == 2
    reason = "No space left on device" if full else "Broken pipe"
    assert printed == f"error: cannot write standard output: {reason}\n"


def test_a_full_disk_is_one_line_and_leaves_nothing(trained, call, tmp_path, monkeypatch):
    path, ckpt = tmp_path / "x.npy", f"ckpt={trained('array')}"
    np.save(path, np.zeros(8))

    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    code, _, printed = call(cli.compress, path, ckpt)
    assert code == 2
    assert printed == f"error: cannot write {path}.ltc: No space left on device\n"
    assert os.listdir(tmp_path) == ["x.npy"]


def test_inputs_without_an_end_are_refused(trained, call):
    ckpt = f"ckpt={trained('array')}"
    for command, more, expected in (
        ("compress", ("--type", "npy"), "/dev/zero has more than"),
        ("decompress", (), "this is no .ltc file"),  # which the first bytes tell
    ):
        arguments = ("/dev/zero", "-", ckpt, "--largest", 1000, *more)
        code, _, printed = call(getattr(cli, command), *arguments)
        assert code == 2
        assert expected in printed


@pytest.mark.parametrize("command", ["compress", "decompress"])
def test_version(monkeypatch, capsys, command):
    monkeypatch.setattr(sys, "argv", ["ltc", "--version"])
    with pytest.raises(SystemExit) as stop:
        getattr(cli, command)()
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"ltc-{command} {__version__}\n"


def test_the_share_that_is_done_is_reported(trained):
    coder = load_coder(trained("array"))
    payload = Payload("array", {"array": np.zeros(3_000_000, np.float32)}, ".npy")
    written, read = [], []
    data = coder.compress(payload, written.append)
    coder.decompress(data, progress=read.append)
    for shares in (written, read):
        assert len(shares) > 1
        assert shares == sorted(shares)
        assert shares[-1] == 1


def test_bad_input(trained, call, tmp_path):
    ckpt = f"ckpt={trained('array')}"
    np.save(tmp_path / "nan.npy", np.array([1.0, np.nan]))
    np.save(tmp_path / "text.npy", np.array(["a"]))
    np.save(tmp_path / "x.npy", np.zeros(8))
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "x.txt").write_text("hello")
    Image.new("L", (4, 4)).save(tmp_path / "x.png")
    cases = [
        ("compress", (tmp_path / "missing.npy", ckpt), "cannot read"),
        ("compress", (tmp_path / "nan.npy", ckpt), "NaN"),
        ("compress", (tmp_path / "text.npy", ckpt), "real numbers"),
        ("compress", (tmp_path / "broken.npy", ckpt), "no valid .npy file"),
        ("compress", (tmp_path / "x.txt", ckpt), "cannot compress .txt"),
        ("compress", (tmp_path / "x.png", ckpt), "cannot compress image"),
        ("compress", (tmp_path / "x.npy", f"ckpt={tmp_path / 'none'}"), "there is no file"),
        ("compress", (tmp_path / "x.npy", "run"), "expected ckpt=RUN"),
        ("compress", (tmp_path / "x.npy", f"ckpt={tmp_path / 'x.npy'}"), "not a checkpoint"),
        ("decompress", (tmp_path / "x.npy", ckpt), "no .ltc file"),
        ("compress", ("-", ckpt), "--type"),
    ]
    for command, arguments, expected in cases:
        code, _, printed = call(getattr(cli, command), *arguments)
        assert code == 2, printed
        assert expected in printed
        assert "Traceback" not in printed
