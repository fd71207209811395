"""How commands end."""

import errno

import pytest

from ltc.cli.command import run_and_report


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
