"""Training on several devices of one machine: a process for each, this one among them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import (
    LightningEnvironment,
    find_free_network_port,
)
from lightning.pytorch.strategies import DDPStrategy

from ltc.errors import InputError
from ltc.threads import threads
from ltc.training import TrainingDivergedError

__all__ = ["READY", "OnDevices"]

# What the process of another device says when it is about to train.
READY = "ready"
# Seconds in which the others tell why they ended, once this process cannot go on.
LAST_WORDS = 5.0


class Devices(LightningEnvironment):
    """Which of the processes of a run this is, and where they meet: Lightning starts none.

    Arguments:
        number: of the device; the process of device 0 is the run, with its log and its files.
        port: where they meet, on this machine.
    """

    def __init__(self, number: int, port: int) -> None:
        super().__init__()
        self.number = number
        self.port = port

    @property
    def creates_processes_externally(self) -> bool:
        """True."""
        return True

    @property
    def main_address(self) -> str:
        """The address of this machine."""
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        """The port where they meet."""
        return self.port

    def local_rank(self) -> int:
        """Return the number of the device."""
        return self.number

    def node_rank(self) -> int:
        """Return 0: there is one machine."""
        return 0


class OnDevices(DDPStrategy):
    """Lightning's `ddp`, which takes the mean of the gradients of all devices, in a sweep too.

    Lightning would start the command of this process again for each device: of a sweep the whole
    sweep. Here the others get the configuration of the run, and do what this one does as far as
    the end of training.

    Arguments:
        number: of the device of this process.
        port: where the processes meet; None: a free one.
    """

    def __init__(self, number: int = 0, port: int | None = None) -> None:
        self.port = port or find_free_network_port()
        super().__init__(cluster_environment=Devices(number, self.port))
        self.number = number
        self.processes: list[subprocess.Popen[str]] = []

    def _configure_launcher(self) -> None:
        self._launcher = None  # Lightning's own refuses notebooks

    @contextmanager
    def together(self, config: dict[str, Any], checkpoint: Path) -> Iterator[None]:
        """Have a process for each device while the block runs; they share this one's threads.

        Arguments:
            config: of the run.
            checkpoint: of its training.

        Raises:
            RuntimeError: one of them failed.
        """
        whole = torch.get_num_threads()
        try:
            with threads(max(1, whole // self.num_processes)):
                for number in range(1, self.num_processes) if self.number == 0 else ():
                    self._start([config, str(checkpoint.absolute()), number, self.port, whole])
                yield
            if any(process.wait() for process in self.processes):
                raise RuntimeError("the process of another device failed")
        except (InputError, TrainingDivergedError):  # no other device is why
            raise
        except Exception as error:
            reason = self._reason()
            if reason is None:
                raise
            raise RuntimeError(reason) from error
        finally:
            for process in self.processes:
                process.kill()
                with process:  # closes its pipes, and waits
                    pass
            if torch.distributed.is_initialized():  # the next run of a sweep has its own
                torch.distributed.destroy_process_group()

    def _start(self, message: list[Any]) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "ltc.runs.follower"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,  # it ends when this one does, which closes the pipe
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for this one
        )
        self.processes.append(process)
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: `meet` will tell
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()

    def meet(self) -> None:
        """Wait until all processes are about to train; afterwards none waits for one that is gone.

        Raises:
            RuntimeError: one of them failed.
        """
        if self.number:
            print(READY, file=sys.__stdout__, flush=True)
        for process in self.processes:
            assert process.stdout is not None
            if process.stdout.readline().strip() != READY:
                raise RuntimeError("the process of another device failed")

    def _reason(self) -> str | None:
        """Return why the first of the others ended, or None where none has failed."""
        until = time.monotonic() + LAST_WORDS
        failed = []
        for number, process in enumerate(self.processes, start=1):
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
            if process.returncode:
                assert process.stdout is not None
                # When, and why; one that was killed says nothing.
                said = process.stdout.read().split(maxsplit=1)
                code = process.returncode
                how = f"exit code {code}" if code > 0 else signal.Signals(-code).name
                when, why = (float(said[0]), said[1].strip()) if len(said) == 2 else (0.0, how)
                failed.append((when, f"the process of device {number} ended: {why}"))
        return min(failed)[1] if failed else None
