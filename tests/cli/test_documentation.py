"""Every command of the documentation and of the README.

A page runs in one empty folder, block after block, as a reader would: blocks with a title are
files, commands of `sh` are run, `python` is run too, or compared where it is a dialogue. Trainings
are shortened. A comment before a block says where that is not all:

    <!-- test: KEY=VALUE ... -->   what trainings and bounds of the block are shortened by as well
    <!-- test: compose -->         too long or too large: its configurations are composed only
"""

import doctest
import importlib
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from ltc.cli.choices import composed

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
CONFIGS = {"ltc-train": "train", "ltc-bound": "rate_distortion", "ltc-lattice": "lattice"}
SHORTER = {
    "ltc-train": ["steps=20", "evaluate.samples=20000", "trainer=cpu", "logger=csv"],
    "ltc-bound": ["points=3"],
    "ltc-lattice": ["samples=2000"],
}
# Of the shell, or without an end of their own.
OTHERS = {"cat", "cd", "cp", "git", "mkdir", "mkdocs", "pytest", "ray", "tensorboard"}
BLOCK = re.compile(
    r"^(?:<!-- test: (?P<mark>[^\n]*?) -->\n)?```[ ]?(?P<language>\w+)(?P<options>[^\n]*)\n"
    r"(?P<body>.*?)^```$",
    re.M | re.S,
)


class Block(NamedTuple):
    """A fenced block of a page: how it is marked, its language, the file that it is, its text."""

    mark: str
    language: str
    title: str | None
    body: str


def blocks(page):
    """Return the blocks of a page."""
    text = page.read_text(encoding="utf-8")
    assert len(re.findall(r"^```", text, re.M)) == 2 * len(BLOCK.findall(text)), page
    found = []
    for match in BLOCK.finditer(text):
        title = re.search(r'title="(.+?)"', match["options"])
        name = title and title[1]
        found.append(Block(match["mark"] or "", match["language"], name, match["body"]))
    return found


def commands(text):
    """Return the commands of a shell block as lists of words."""
    lines = text.replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    parts = []
    for line in filter(None, words):
        start = 0
        for end, word in enumerate([*line, "&&"]):
            if word == "&&":
                parts.append([*line, "&&"][start:end])
                start = end + 1
    return parts


def check_installation(words):
    """Check that what pip is to install beside the project is one of its extras."""
    for extra in re.findall(r"\[(\w+)\]", " ".join(words)):
        assert extra in PROJECT["optional-dependencies"]


def check_configuration(name, arguments):
    """Compose what a command would get, for each choice of a sweep."""
    options = [a for a in arguments if a.startswith("-")]
    assert set(options) <= {"-m", "--json", "--help"}, options
    # Plugins of launchers and sweepers are extras; that there is such a launcher is all to ask.
    launchers = [a for a in arguments if a.startswith("launcher=")]
    for launcher in launchers:
        assert (ROOT / "conf" / launcher.replace("=", "/")).with_suffix(".yaml").is_file()
    left_out = (*options, *launchers, *(a for a in arguments if a.startswith(("hydra.", "hydra/"))))
    values = []
    parser = OverridesParser.create()
    for override in parser.parse_overrides([a for a in arguments if a not in left_out]):
        key = override.get_key_element()
        swept = override.sweep_string_iterator() if override.is_sweep_override() else ()
        values.append([f"{key}={value}" for value in swept] or [override.input_line])
        if not (ROOT / "conf" / key).is_dir():
            del values[-1][1:]  # one number composes as another does
    first = [found[0] for found in values]
    composed(CONFIGS[name], first)
    for place, found in enumerate(values):
        for value in found[1:]:
            composed(CONFIGS[name], [*first[:place], value, *first[place + 1 :]])


def shortened(name, arguments, mark):
    """Return what a command is run with."""
    if name not in SHORTER or any(a.startswith("resume=") for a in arguments):
        return arguments
    given = {a.partition("=")[0] for a in (*arguments, *mark)}
    extra = [a for a in SHORTER[name] if a.partition("=")[0] not in given]
    replaced = {a.partition("=")[0] for a in mark} - {"steps"}
    return [a for a in arguments if a.partition("=")[0] not in replaced] + [*mark, *extra]


@pytest.fixture
def run(call, monkeypatch, tmp_path):
    """Run a command of the shell, and check that it succeeds."""
    scripts = PROJECT["scripts"]
    # Most of the time of a short training, and tested elsewhere.
    monkeypatch.setattr("ltc.runs.train.refine", lambda *_, **__: None)
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / "scripts")])
    monkeypatch.setenv("LTC_CONFIG_DIR", "")

    def run_command(words, mark):
        name, *arguments = words
        composing = mark == ["compose"]
        if name in scripts and composing and name in CONFIGS:
            check_configuration(name, arguments)
        elif name in scripts:
            module, function = scripts[name].split(":")
            main = getattr(importlib.import_module(module), function)
            code, out, err = call(main, *shortened(name, arguments, mark))
            assert code == 0, f"{shlex.join(words)}\n{out}\n{err}"
        elif name == "pip":
            check_installation(arguments)
        elif name == "python":
            script = ROOT / arguments[0]
            assert script.is_file()
            if not composing:
                monkeypatch.setattr(sys, "argv", [script.name, *arguments[1:]])
                runpy.run_path(str(script), run_name="__main__")
        else:
            assert name in OTHERS, f"{name}: who runs it?"
            if name in ("mkdir", "cp"):
                subprocess.run(words, check=True)

    yield run_command
    for module in [*sys.modules.values()]:
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[module.__name__]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_can_be_followed(page, run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for block in blocks(page):
        if block.title is not None:
            file = tmp_path / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.body)
        elif block.language == "sh":
            for words in commands(block.body):
                run(words, block.mark.split())
        elif block.language == "python" and ">>>" in block.body:
            parsed = doctest.DocTestParser().get_doctest(block.body, names, page.name, None, 0)
            runner = doctest.DocTestRunner()
            runner.run(parsed, clear_globs=False)
            assert not runner.failures, block.body
            names = parsed.globs
        elif block.language == "python":
            exec(compile(block.body, page.name, "exec"), names)
        else:
            assert block.language in ("json", "text", "yaml"), block.language


def test_commands_of_the_readme_can_be_composed():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    (?:pip .*? && )?(ltc-(?:train|bound|lattice) .*)$", text, re.M)
    found = [shlex.split(line, comments=True) for line in lines]
    assert len(found) > 8
    for name, *arguments in found:
        if not any("mine" in argument or "resume=" in argument for argument in arguments):
            check_configuration(name, arguments)


def test_no_two_commands_of_different_pages_write_to_one_folder():
    pages = {path.name: path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *PAGES]}
    found = [
        (folder, page)
        for page, text in pages.items()
        for folder in re.findall(r"hydra\.run\.dir=(\S+)", text)
    ]
    assert len(found) > 12
    written = [folder for folder, _ in found]
    assert not [place for place in found if written.count(place[0]) > 1]


@pytest.mark.parametrize("script", re.findall(r"python (scripts/\w+\.py)", "\n".join(
    path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *PAGES])
))  # fmt: skip
def test_scripts_that_pages_name_exist(script):
    assert (ROOT / script).is_file()
