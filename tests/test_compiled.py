"""What numba kept on disk is not used after its source changed, in whichever file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import ltc

INNER = (
    "from ltc.compiled import compiled\n\n@compiled(inline='always')\ndef inner():\n    return {}\n"
)
OUTER = """from ltc.compiled import compiled
from ltc.inner import inner

@compiled()
def outer():
    return inner()

print(outer(), sum(outer.stats.cache_hits.values()))
"""


def test_a_change_of_another_file_compiles_again(tmp_path: Path) -> None:
    package = tmp_path / "ltc"
    shutil.copytree(
        Path(ltc.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    (package / "outer.py").write_text(OUTER)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    environment.pop("NUMBA_CACHE_DIR", None)

    def run(number: int) -> str:
        (package / "inner.py").write_text(INNER.format(number))
        command = [sys.executable, "-c", "import ltc.outer"]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert run(1) == "1 0"
    assert run(1) == "1 1"
    assert run(2) == "2 0"
