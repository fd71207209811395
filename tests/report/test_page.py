"""The page: whole, safe, and with what it says it has."""

import json
import re
from html.parser import HTMLParser

import pytest

from ltc.report import Report, read_beside
from ltc.report.page import DIFFERENCE, write_page

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;$x$%{y}"


class Elements(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text):
        super().__init__()
        self.found = [("", {})]
        self.texts = {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, text):
        tag, attributes = self.found[-1]
        self.texts.setdefault((tag, attributes.get("id")), []).append(text)


@pytest.fixture
def page(tmp_path):
    """Write the page of all runs below a folder; return its text and its elements."""

    def make(*beside):
        report = Report.of([tmp_path], [c for text in beside for c in read_beside(text)])
        write_page(report, tmp_path / "out" / "index.html")
        text = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
        return text, Elements(text)

    return make


def contents(elements):
    return json.loads("".join(elements.texts["script", "data"]))


def test_page_needs_nothing_else(write_run, page):
    for i in range(40):
        write_run(f"run{i}", lmbda=1 + i, seed=i % 2)
    text, elements = page("paper")
    for tag, attributes in elements.found:
        assert "src" not in attributes, tag
        assert attributes.get("href", "data:").startswith(("data:", "./")), tag
    assert "@import" not in text
    assert len(text.encode()) < 6e6
    assert "arXiv 2403.07320" in text
    data = contents(elements)
    assert len(data["runs"]) == 40
    # Each line of the configurations is there once, and each configuration in full.
    assert len(data["lines"]) == len(set(data["lines"])) == 41
    config = [data["lines"][line] for line in data["runs"][0]["config"]]
    assert config == [f"lmbda: {data['runs'][0]['row']['lmbda']}", "steps: 20"]


def test_hostile_names_are_text(write_run, tmp_path, page):
    for lmbda in (2, 8):
        folder = write_run(
            f"run{lmbda}", quantizer=HOSTILE, source=HOSTILE, bound=HOSTILE, lmbda=lmbda
        )
        (folder / "config.yaml").write_text(f"lmbda: {HOSTILE}\n")
    write_run("broken", json.dumps({"source": HOSTILE}))
    javascript = write_run("javascript:alert(3)", lmbda=4, quantizer="e8", source=HOSTILE)
    (tmp_path / "mine.json").write_text(
        json.dumps({"about": HOSTILE, "points": [{"rate": 1, "distortion": 0.1, "curve": HOSTILE}]})
    )
    _, elements = page(f"x={tmp_path / 'mine.json'}")
    tags = [tag for tag, _ in elements.found]
    assert "img" not in tags
    # Those of the template and one of each graph, no other.
    scripts = ["".join(t) for (tag, _), t in elements.texts.items() if tag == "script"]
    assert not any(script.strip() == "alert(1)" for script in scripts)
    assert tags.count("script") == 3 + 1
    assert HOSTILE in "".join(elements.texts["h2", None])
    data = contents(elements)
    assert f"lmbda: {HOSTILE}" in data["lines"]
    links = {run["row"]["folder"]: run["link"] for run in data["runs"]}
    assert links[str(javascript.resolve())] == "./../javascript%3Aalert%283%29/"
    graph = next(script for script in scripts if "Plotly.newPlot" in script and "graph0" in script)
    assert "<script" not in graph
    assert "onerror" in graph  # there, as text
    assert not re.search(r"\$x\$|%\{y\}[^.:]*onerror", graph)


def test_failed_runs_alone_make_a_page(write_run, page):
    write_run("broken", "{")
    _, elements = page()
    data = contents(elements)
    assert [run["state"] for run in data["unfinished"]] == ["failed"]
    assert data["runs"] == []
    assert not any("graph" in attributes.get("id", "") for _, attributes in elements.found)


def test_a_source_without_a_lower_limit_says_so(write_run, page):
    write_run("a", bound_rate_lower=None, gap_bits=None)
    text, _ = page()
    assert "no run knows a lower limit" in text
    write_run("b", lmbda=2)
    text, _ = page()
    assert "no run knows a lower limit" not in text


def test_differences_are_those_of_the_report(write_run, tmp_path, page):
    for lmbda in (1, 2, 4, 8):
        write_run(f"a{lmbda}", lmbda=lmbda)
        write_run(f"b{lmbda}", lmbda=lmbda, gap=0.2, quantizer="scalar")
    write_run("c", quantizer="a2")
    data = contents(page()[1])
    rows = Report.of([tmp_path]).difference_rows()
    assert len(data["differences"]) == len(rows) == 6
    for found, row in zip(data["differences"], rows, strict=True):
        texts = [data["names"][i] for i in found[:4]]
        assert texts == [row[key] for key in ("setting", "reference", "curve", "reason")]
        for value, key in zip(found[4:], DIFFERENCE[4:], strict=True):
            assert value == (None if row[key] is None else pytest.approx(row[key], abs=1e-4))
