"""The process of another device: it trains with the run that started it, and leaves nothing."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
import warnings
from pathlib import Path

import torch
from omegaconf import OmegaConf

from ltc.files import config_directories
from ltc.runs.build import build
from ltc.runs.devices import OnDevices
from ltc.runs.lattice_run import LatticeRun
from ltc.runs.minimise import bounded, minimise
from ltc.runs.record import quiet
from ltc.training import Saved

__all__ = ["main"]


def main() -> None:
    """Do what the run does that tells its configuration on standard input, to the end of training.

    What there is to say, that run says; this process only why it failed, on standard output.
    """
    sys.stdout = sys.stderr
    logging.disable()
    warnings.simplefilter("ignore")
    quiet()
    settings, checkpoint, number, port, threads = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    torch.set_num_threads(threads)
    try:
        config_directories()  # of the user's own modules
        config = OmegaConf.create(settings)
        run = build(config)
        assert isinstance(run, LatticeRun)
        with bounded(run):
            minimise(run, config, Saved(Path(checkpoint)), None, OnDevices(number, port))
    except Exception as error:
        message = f"\n{time.monotonic()} {type(error).__name__}: {error}"
        print(message, file=sys.__stdout__, flush=True)
        sys.exit(1)


def _end_with_the_run() -> None:
    sys.stdin.read()  # it holds the other end of the pipe
    os._exit(1)


if __name__ == "__main__":
    main()
