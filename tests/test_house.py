"""The house: imports go one way, and nobody asks which class a member of a family is."""

import ast
import graphlib
from pathlib import Path

import ltc

PACKAGE = Path(ltc.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
FACTORIES = {"ltc.codec.select", "ltc.runs.build"}
FAMILIES = ("codec", "distortion", "entropy", "lattices", "quantizers", "sources", "transforms")


def statements(node):
    """Yield the nodes of a module, without what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from statements(child)


def imported(tree):
    """Return the modules of ltc that a module imports, also those that it imports late."""
    found = set()
    for node in statements(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (names & MODULES.keys()) or {node.module}
    return found & MODULES.keys()


def test_no_import_goes_in_a_circle():
    graph = {name: imported(tree) - {name} for name, tree in TREES.items()}
    assert graph["ltc.runs.train"] >= {"ltc.runs.build", "ltc.training"}
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError


def test_no_question_which_class_outside_factories():
    members = {
        node.name
        for name, tree in TREES.items()
        if name.removeprefix("ltc.").startswith(FAMILIES)
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }
    assert {"Exact", "E8", "IIDGaussian", "Squared"} <= members
    for name in TREES.keys() - FACTORIES:
        for node in ast.walk(TREES[name]):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
                asked = {part.id for part in ast.walk(node.args[1]) if isinstance(part, ast.Name)}
                assert not asked & members, f"{name}, line {node.lineno}"


def test_no_file_is_longer_than_350_lines():
    for name, path in MODULES.items():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 350, name
