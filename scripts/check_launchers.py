"""Run one sweep by every launcher, compare the metrics, and kill a worker of each.

    pip install -e ".[launchers]"
    python scripts/check_launchers.py
    python scripts/check_launchers.py --launchers basic joblib ray --nodes 2 quantizer=e8 lmbda=1,8

Metrics have to be equal bit for bit; times and peak memory are set aside. For `ray` two nodes are
started on this machine, and each has to have had a part in the sweep. Then
the process of one run is killed (SIGKILL) while it trains: all others have to end well, and the
sweep that is started again has to end with the metrics of one that was not killed. Fails unless
all of that is so.
"""

import argparse
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ASIDE = ("seconds_train", "seconds_total", "peak_memory", "threads")
LAUNCHERS = ("basic", "joblib", "ray", "submitit_local")
SWEEP = [
    "quantizer=scalar",
    "lmbda=1,2,4",
    "steps=50",
    "refine.samples=20000",
    "evaluate.samples=20000",
    "bound=none",
    "trainer=cpu",
    "logger=csv",
]


@contextmanager
def cluster(nodes: int, folder: Path, port: int = 26379) -> Iterator[None]:
    """Start a Ray cluster whose nodes, of one CPU each, are processes of this machine."""
    ray = [str(Path(sys.executable).with_name("ray")), "start", "--num-cpus=1"]
    ray += ["--node-ip-address=127.0.0.1", "--disable-usage-stats"]
    # In a folder of its own, so that later sweeps do not look for a cluster that is gone.
    head = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}"]
    # With a token of its own: nobody else's, and Ray's default is another for each way to start.
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    blocked = [subprocess.Popen([*ray, *head, "--block"], stdout=subprocess.DEVNULL)]
    os.environ["RAY_ADDRESS"] = f"127.0.0.1:{port}"
    try:
        for _ in range(nodes - 1):
            time.sleep(20)  # until the head listens
            join = [*ray, f"--address=127.0.0.1:{port}", "--block"]
            blocked.append(subprocess.Popen(join, stdout=subprocess.DEVNULL))
        time.sleep(20)
        yield
    finally:
        for process in reversed(blocked):
            process.terminate()
            process.wait()
        for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
            del os.environ[name]


def start(launcher: str, folder: Path, overrides: list[str]) -> subprocess.Popen:
    """Start a sweep; what it says goes into a file beside its folder."""
    command = [sys.executable, "-m", "ltc.cli.train", "-m", f"launcher={launcher}", *SWEEP]
    with folder.with_suffix(".log").open("a") as log:
        return subprocess.Popen(
            [*command, *overrides, f"hydra.sweep.dir={folder}"], stdout=log, stderr=log
        )


def metrics(folder: Path) -> dict[str, dict]:
    """Return the final metrics of the runs of a sweep, without those that no two share."""
    found = {}
    for path in folder.rglob("metrics.json"):
        values = json.loads(path.read_text())
        found[path.parent.name] = {k: v for k, v in values.items() if k not in ASIDE}
    return found


def compared(found: dict[str, dict], expected: dict[str, dict]) -> str:
    """Say whether metrics are those expected, and which are not."""
    keys = {
        key
        for run in found.keys() & expected.keys()
        for key in found[run].keys() | expected[run].keys()
        if found[run].get(key) != expected[run].get(key)
    }
    missing = expected.keys() - found.keys()
    return f"metrics DIFFER: {sorted(keys | missing)}" if keys or missing else "metrics equal"


def process_of(folder: Path) -> int | None:
    """Return a process that trains a run of a sweep: it holds the lock of its `config.yaml`."""
    for claim in folder.glob("*/config.yaml"):
        inode = claim.stat().st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            found = re.search(r"FLOCK +ADVISORY +WRITE +(\d+) \S+:(\d+) ", line)
            if found and int(found[2]) == inode:
                return int(found[1])
    return None


def killed(launcher: str, folder: Path, overrides: list[str]) -> bool:
    """Kill the process of a run, start the sweep again; tell whether one run alone was hit."""
    sweep = start(launcher, folder, overrides)
    while (victim := process_of(folder)) is None or victim == sweep.pid:
        if sweep.poll() is not None:
            raise SystemExit(f"{launcher}: ended before a run could be killed")
        time.sleep(0.05)
    os.kill(victim, signal.SIGKILL)
    code = sweep.wait()
    runs = len([path for path in folder.iterdir() if (path / "config.yaml").exists()])
    finished = len(metrics(folder))
    reported = "its process ended" in folder.with_suffix(".log").read_text()
    print(f"  killed: exit code {code}, {finished} of {runs} runs finished, reported: {reported}")
    again = start(launcher, folder, overrides).wait()
    print(f"  started again: exit code {again}, {len(metrics(folder))} of {runs} runs finished")
    return code != 0 and finished == runs - 1 and reported and again == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the sweep")
    parser.add_argument("--launchers", nargs="+", default=LAUNCHERS, metavar="NAME")
    parser.add_argument("--nodes", type=int, default=2, help="of the Ray cluster")
    parser.add_argument("--no-kill", action="store_true", help="only compare the metrics")
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        os.environ.setdefault("LTC_CACHE", str(root / "cache"))
        expected: dict[str, dict] = {}
        for launcher in options.launchers:
            with cluster(options.nodes, root / "r") if launcher == "ray" else nothing():
                began = time.perf_counter()
                code = start(launcher, root / launcher, options.overrides).wait()
                found = metrics(root / launcher)
                expected = expected or found
                same = code == 0 and found == expected
                seconds = time.perf_counter() - began
                told = f"{len(found)} runs in {seconds:.1f} s, {compared(found, expected)}"
                print(f"{launcher}: exit code {code}, {told}", flush=True)
                failed |= not same
                if not same:
                    print((root / launcher).with_suffix(".log").read_text()[-2000:])
                if launcher == "ray":
                    nodes = set(re.findall(r"on node (\w+)", log_of(root / launcher)))
                    print(f"  {len(nodes)} nodes ran some of them")
                    failed |= len(nodes) != options.nodes
                if launcher != "basic" and not options.no_kill:
                    folder = root / f"{launcher}_killed"
                    alone = killed(launcher, folder, options.overrides)
                    print(f"  {compared(metrics(folder), expected)}", flush=True)
                    failed |= not (alone and metrics(folder) == expected)
    raise SystemExit(failed)


def log_of(folder: Path) -> str:
    return folder.with_suffix(".log").read_text()


@contextmanager
def nothing() -> Iterator[None]:
    """Start no cluster."""
    yield


if __name__ == "__main__":
    main()
