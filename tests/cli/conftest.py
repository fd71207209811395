"""Commands run in an empty folder, and coders for them."""

import functools
import importlib
import io
import sys
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pytest
import soundfile

from ltc.cli.train import main as train

QUICK = [
    "steps=20",
    "refine.samples=20000",
    "evaluate.samples=2000",
    "bound=none",
    "logger=csv",
    "trainer=cpu",
]


@pytest.fixture
def call(monkeypatch, tmp_path, capsys):
    """Run a command in an empty folder; return its exit code and what it printed, where."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LTC_CACHE", str(tmp_path / "cache"))

    def run_command(main, *arguments):
        monkeypatch.setenv("HYDRA_FULL_ERROR", "")  # commands set it
        module = main.__module__.rpartition(".")[2]
        name = f"ltc-{module if main.__name__ == 'main' else main.__name__}"
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run_command


@pytest.fixture
def run(request, call):
    """Run the command that a module tests; return its exit code and what it printed."""
    command = importlib.import_module("ltc.cli." + request.path.stem.removeprefix("test_"))

    def run_main(*arguments):
        code, out, err = call(command.main, *arguments)
        return code, out + err

    return run_main


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Train a coder of a kind when it is first asked for; return its folder."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    (folder / "sounds").mkdir()
    (folder / "tones").mkdir()
    for i in range(3):
        soundfile.write(folder / f"sounds/{i}.wav", rng.normal(0, 0.1, 4000), 8000)
        tone = np.sin(np.arange(8000) * (i + 1) / 10) * np.exp(-np.arange(8000) / 2000)
        soundfile.write(folder / f"tones/{i}.wav", 0.3 * tone + rng.normal(0, 0.01, 8000), 8000)
    sources = {
        "array": ["source=iid_gaussian", "quantizer=e8", "lmbda=8"],
        "image": ["source=image_patches", "quantizer=e8", "lmbda=50"],
        "audio": ["source=audio", f"source.root={folder / 'sounds'}", "quantizer=d4_dual"],
        "sounds": ["source=sounds", f"source.root={folder / 'tones'}", "entropy.steps=[4,16]"],
        "block": ["source=banana", "transform=linear", "quantizer=e8"],
        "trellis": ["source=iid_gaussian", "quantizer=trellis", "quantizer.length=16"],
        "fixed": ["source=iid_gaussian", "quantizer=nested", "quantizer.search=4"],
    }

    @functools.cache
    def folder_of(kind):
        arguments = ["ltc-train", *sources[kind], *QUICK, f"hydra.run.dir={folder / kind}"]
        printed = io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setattr(sys, "argv", arguments)
            with redirect_stdout(printed), redirect_stderr(printed):
                train()
        return folder / kind

    return folder_of
