"""Commands run in an empty folder."""

import importlib
import sys

import pytest


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
