"""Kill a short run at random moments, go on with it, and compare with one that was not killed.

    python scripts/check_kill.py --count 50
    python scripts/check_kill.py quantizer=trellis_8 quantizer.train=dither steps=500

Each is killed (SIGKILL) at a moment drawn anew, from the start of its process to the end of the
run that was not; where nothing was begun by then, it is started again. With `--times 2` what goes
on is killed too. Prints what each kill hit, and fails unless all final metrics are equal; times and
peak memory are set aside.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ASIDE = ("seconds_train", "seconds_total", "peak_memory")
RUN = [
    "quantizer=a2",
    "quantizer.rdo=true",
    "steps=600",
    "trainer.val_check_interval=100",
    "evaluate.samples=200000",
    "trainer=cpu",
]


def start(arguments: list[str], log: Path) -> subprocess.Popen:
    """Start `ltc-train`."""
    with log.open("a") as file:
        command = [sys.executable, "-m", "ltc.cli.train", *arguments]
        return subprocess.Popen(command, stdout=file, stderr=file)


def command(folder: Path, overrides: list[str]) -> list[str]:
    """Return the arguments that begin a run, or go on with it."""
    if (folder / "config.yaml").exists():
        return [f"resume={folder}"]
    return [*RUN, *overrides, f"hydra.run.dir={folder}"]


def reached(folder: Path) -> str:
    """Say how far a run is."""
    stages = {
        "metrics.json": "written",
        "checkpoints/best.ckpt": "evaluating",
        "checkpoints/last.ckpt": "training, past a checkpoint, or refining",
        "config.yaml": "before the first checkpoint",
    }
    return next((s for name, s in stages.items() if (folder / name).exists()), "not yet begun")


def metrics(folder: Path, log: Path) -> dict:
    """Return the final metrics of a run, without those that no two runs share."""
    path = folder / "metrics.json"
    if not path.exists():
        raise SystemExit(f"{folder} has no metrics; the last it said:\n{log.read_text()[-2000:]}")
    return {key: value for key, value in json.loads(path.read_text()).items() if key not in ASIDE}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the run")
    parser.add_argument("--count", type=int, default=50, help="runs that are killed")
    parser.add_argument("--times", type=int, default=1, help="kills of each")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        os.environ["LTC_CACHE"] = str(root / "cache")
        log = root / "log"
        differing = 0
        for name in ("first", "whole"):  # the first compiles what the others find compiled
            began = time.perf_counter()
            start(command(root / name, options.overrides), log).wait()
            seconds = time.perf_counter() - began
            whole = metrics(root / name, log)
            print(f"not killed: {seconds:.1f} s, rate {whole['rate']:.6f}", flush=True)
        for number in range(1, options.count + 1):
            folder, log = root / str(number), root / f"log{number}"
            hit = []
            for _ in range(options.times):
                process = start(command(folder, options.overrides), log)
                moment = rng.uniform(0, seconds)
                try:
                    process.wait(moment)
                    hit.append("ended before")
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    hit.append(f"killed after {moment:.1f} s, {reached(folder)}")
            start(command(folder, options.overrides), log).wait()
            found = metrics(folder, log)
            keys = [key for key in whole if found.get(key) != whole[key]]
            keys += [key for key in found if key not in whole]
            differing += bool(keys)
            outcome = f"DIFFERS in {', '.join(keys)}" if keys else "equal"
            print(f"{number:3} {'; '.join(hit)}: {outcome}", flush=True)
    print(f"{options.count} runs killed and gone on with, {differing} with other metrics")
    raise SystemExit(differing > 0)


if __name__ == "__main__":
    main()
