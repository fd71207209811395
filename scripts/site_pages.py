"""Pages of the documentation that are made from the code when `mkdocs build` runs.

A hook of MkDocs (see `mkdocs.yml`): the commands from their `--help`, the configurations from
`conf/`, the API from the packages below `ltc/`; and mathematics as MathML, so that a browser needs
no script and no network.
"""

import contextlib
import html
import importlib
import io
import os
import re
import sys
import tomllib
from pathlib import Path

import griffe
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# What a page of an offline site must not fetch.
REMOTE = re.compile(r'<(script|img|iframe|link rel="stylesheet")[^>]* (src|href)="(https?:)?//')
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List a page for each package in the navigation."""
    api = [{name: f"reference/api/{name}.md"} for name in packages()]
    for section in config.nav:
        for entry in section.get("Reference", ()) if isinstance(section, dict) else ():
            if isinstance(entry, dict) and "API" in entry:
                entry["API"] = api
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    pages = {"reference/commands.md": commands(), "reference/configs.md": configurations()}
    pages |= {f"reference/api/{name}.md": f"# {name}\n\n::: {name}\n" for name in packages()}
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_post_page(output: str, **_: object) -> str:
    """Render formulas, and refuse a page that would fetch something."""
    if REMOTE.search(output):
        raise PluginError(f"a page fetches {REMOTE.search(output)[0]}")
    return FORMULA.sub(
        lambda found: convert(
            html.unescape(found[2]).strip(), display="block" if found[1] == "div" else "inline"
        ),
        output,
    )


class Examples(griffe.Extension):
    """Docstrings of ltc say `Example:`, where the parser of the API's pages knows `Examples:`."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^Example:", "Examples:", obj.docstring.value, flags=re.M)


def packages() -> list[str]:
    """Return the names of the packages and single modules of ltc, but those of the commands."""
    found = ["ltc.distortion"]
    found += [f"ltc.{path.parent.name}" for path in (ROOT / "ltc").glob("*/__init__.py")]
    return sorted(set(found) - {"ltc.cli"})


def commands() -> str:
    """Return the page of the commands, from what each says of itself."""
    parts = ["# Commands", "What each command prints with `--help`."]
    for name, target in sorted(PROJECT["scripts"].items()):
        module, function = target.split(":")
        main = getattr(importlib.import_module(module), function)
        about = sys.modules[module].__doc__.splitlines()[0].partition(": ")[2]
        parts += [f"## {name}", about[:1].upper() + about[1:], f"```text\n{said(name, main)}\n```"]
    return "\n\n".join(parts)


def said(name: str, main) -> str:
    """Return what a command prints with `--help`."""
    printed = io.StringIO()
    arguments, columns = sys.argv, os.environ.get("COLUMNS")
    sys.argv, os.environ["COLUMNS"] = [name, "--help"], "88"
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main()
    finally:
        sys.argv = arguments
        if columns is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = columns
    return printed.getvalue().strip()


def configurations() -> str:
    """Return the page of the configurations: every file, with its comments."""
    parts = [
        "# Configurations",
        "Every file of `conf/` as it stands there. What a file in a group holds is set by "
        "`group.key=value`, the file itself chosen by `group=name`.",
    ]
    conf = ROOT / "conf"
    for path in sorted(conf.glob("*.yaml")):
        parts += [f"## {path.name}", fenced(path)]
    for group in sorted(path for path in conf.iterdir() if path.is_dir()):
        parts.append(f"## {group.name}")
        for path in sorted(group.glob("*.yaml")):
            parts += [f"### {group.name}={path.stem}", fenced(path)]
    return "\n\n".join(parts)


def fenced(path: Path) -> str:
    """Return a file as a block of a page."""
    return f"```yaml\n{path.read_text(encoding='utf-8').strip()}\n```"
