"""How commands end."""

import errno
import pickle
import re
import subprocess
import sys
import threading
from importlib.util import find_spec

import pytest
import torch

from ltc.cli import bound, start, train
from ltc.cli.choices import composed
from ltc.cli.command import Task, run_and_report
from ltc.files import write_state


def ended(capsys, task):
    """Return the exit code of a task and what it printed to standard error."""
    with pytest.raises(SystemExit) as stop:
        run_and_report(task, verbose=False)
    return stop.value.code, capsys.readouterr().err


@pytest.mark.parametrize("terminal", [False, True])
def test_an_interruption_is_one_line_and_shows_the_cursor(capsys, monkeypatch, terminal):
    def lightning():
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            exit(1)

    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    code, err = ended(capsys, lightning)
    assert code == 130
    assert err == ("\x1b[?25h" if terminal else "") + "interrupted\n"


def test_a_folder_that_was_removed_is_named(capsys, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert ended(capsys, lambda: None) == (
        2,
        "error: the folder of this shell was removed; change to another\n",
    )


def test_a_full_disk_is_one_line(capsys):
    def thread():
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RuntimeError("the writer's thread died") from error

    code, err = ended(capsys, thread)
    assert code == 1
    assert err.startswith("error: cannot write the output: No space left on device")
    assert err.count("\n") == 1


def test_a_full_disk_of_hydra(capsys):
    def hydra():
        raise OSError(errno.ENOSPC, "No space left on device", "/full/.hydra")

    _, err = ended(capsys, hydra)
    assert "cannot write /full/.hydra" in err
    assert err.count("\n") == 1


def test_a_log_that_cannot_be_made_is_bad_input(capsys):
    def hydra():
        try:
            raise PermissionError(errno.EACCES, "Permission denied", "/mine/ltc-train.log")
        except PermissionError as error:
            raise ValueError("Unable to configure handler 'file'") from error

    code, err = ended(capsys, hydra)
    assert code == 2
    assert err.startswith("error: cannot use /mine/ltc-train.log: Permission denied")


def test_a_full_disk_under_a_checkpoint_is_told(capsys, tmp_path):
    def write():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pathlib.Path.write_bytes", full)
            write_state({"weights": torch.zeros(1000)}, tmp_path / "best.ckpt")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    _, err = ended(capsys, write)
    assert err.startswith("error: cannot write the output: No space left on device")
    assert not list(tmp_path.iterdir())
    write_state({"weights": torch.zeros(1000)}, tmp_path / "best.ckpt")
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["weights"].shape == (1000,)


def test_a_thread_that_finds_no_room_is_a_warning(capsys, monkeypatch):
    def write():
        raise OSError(errno.ENOSPC, "No space left on device")

    def task():
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()

    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    run_and_report(task, verbose=False)
    err = capsys.readouterr().err
    assert err.startswith("warning: cannot write the output: No space left on device")
    assert err.count("\n") == 1


def test_the_numbers_are_safe_where_the_log_finds_no_room(capsys, monkeypatch, tmp_path):
    def record(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ltc.runs.train.record", record)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.chdir(tmp_path)
    quick = [
        "steps=5",
        "refine.samples=20000",
        "evaluate.samples=2000",
        "trainer=cpu",
        "logger=csv",
        "bound=none",
    ]
    monkeypatch.setattr(sys, "argv", ["ltc-train", "quantizer=scalar", *quick])
    train.main()
    captured = capsys.readouterr()
    assert "is not whole: No space left on device" in captured.out + captured.err
    assert list(tmp_path.rglob("metrics.json"))


@pytest.mark.parametrize("command", [bound, train])
def test_a_task_can_be_sent_to_the_process_of_a_launcher(command):
    task = pickle.loads(pickle.dumps(Task(command._task, "train")))
    assert task.task is command._task


# In an interpreter of its own, where nothing has been loaded before.
ANSWERS = """
import importlib, sys
for name, *arguments in {commands}:
    sys.argv = [name, *arguments]
    module, _, function = name.partition(":")
    try:
        getattr(importlib.import_module("ltc.cli." + module), function)()
    except SystemExit as stop:
        assert not stop.code or stop.code == 2, (name, stop.code)
    assert "torch" not in sys.modules, (name, arguments)
"""


CONFIGS = {"ltc-train": "train", "ltc-bound": "rate_distortion", "ltc-lattice": "lattice"}


def test_help_and_messages_need_no_torch(tmp_path):
    """Which takes seconds to load. Help begins with the usage, and its examples compose."""
    names = ("train", "bound", "lattice", "eval", "report", "compress")
    mains = [f"{name}:{'compress' if name == 'compress' else 'main'}" for name in names]
    commands = [[main, "--help"] for main in [*mains, "compress:decompress"]]
    commands += [["train:main", "lmbda=-1"], ["train:main", "steps=1.5"], ["bound:main", "no=1"]]
    commands += [["train:main", "quantizer=e9"], ["compress:compress", "none.npy", "ckpt=none"]]
    code = ANSWERS.format(commands=commands)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    usages = [line for line in done.stdout.splitlines() if line.startswith("usage: ltc-")]
    shown = [usage.split()[1] for usage in usages]
    assert shown == [f"ltc-{name}" for name in (*names, "decompress")]
    for name, config in CONFIGS.items():
        examples = re.findall(rf"^  {name} (.*)", done.stdout, re.M)
        assert len(examples) == 2
        for example in examples:
            composed(config, [given.split(",")[0] for given in example.split() if given != "-m"])


@pytest.mark.parametrize("name", [name for name in start.__all__ if name.islower()])
def test_a_command_that_is_being_imported_ends_in_one_line_too(name, capsys, monkeypatch):
    def interrupted(module):
        assert find_spec(module) is not None
        raise KeyboardInterrupt

    monkeypatch.setattr(start, "import_module", interrupted)
    with pytest.raises(SystemExit) as stop:
        getattr(start, name)()
    assert stop.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"
