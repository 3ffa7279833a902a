"""The tree: who may import whom through which door, what a folder says of itself, and how large anything may be."""

from __future__ import annotations

import ast
import statistics
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("unlearn_audit", "attacks", "probes")
STUBS = {ROOT / "unlearn_audit" / "attacks", ROOT / "unlearn_audit" / "probes"}
PLUGIN_FOLDERS = ("attacks", "probes")
FILES = sorted(
    path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if not STUBS & {path.parent, *path.parents}
)
FOLDERS = sorted({path.parent for path in FILES})
API = "unlearn_audit.api"
"""All of it is a door: it is made for others."""
MOST_NAMES, LONGEST_FUNCTION, MEDIAN_FILE = 16, 60, 150


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(module: str) -> Iterator[str]:
    """The modules of ours that a module imports, wherever and for whatever reason (types as well)."""
    path = MODULES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
            base = base if node.level else node.module or ""
            for alias in node.names:
                name = f"{base}.{alias.name}"
                found = name if name in MODULES else base
                if found in MODULES:
                    yield found


@cache
def graph() -> nx.DiGraph:
    edges = [(module, other) for module in MODULES for other in imported(module) if other != module]
    return nx.DiGraph(edges)


def room_of(module: str) -> str:
    return module.split(".")[1] if module.startswith("unlearn_audit.") else ""


def circles(found: nx.DiGraph) -> list[list[str]]:
    return [sorted(part) for part in nx.strongly_connected_components(found) if len(part) > 1]


def test_no_files_import_each_other_in_a_circle():
    assert len(graph().edges) > 500  # the graph is not empty by mistake
    assert circles(graph()) == []


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_no_folders_import_each_other_in_a_circle(depth):
    folders: nx.DiGraph = nx.DiGraph()
    for one, other in graph().edges:
        ends = [".".join(module.split(".")[:depth]) for module in (one, other)]
        if ends[0] != ends[1]:
            folders.add_edge(*ends)
    assert circles(folders) == []


def test_what_a_room_lets_others_take_is_named_by_it():
    """A room's `__init__` names its doors in `__all__`: its modules, or what it holds itself."""
    strangers = defaultdict(set)
    for one, other in graph().edges:
        parts = other.split(".")
        room = ".".join(parts[:2])
        if parts[0] != "unlearn_audit" or len(parts) < 3 or one == room or one.startswith(f"{room}."):
            continue
        if room != API and parts[2] not in doors(room):
            strangers[room].add(f"{one} -> {other}")
    assert not strangers


def doors(room: str) -> set[str]:
    for node in tree_of(MODULES[room]).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


@pytest.mark.parametrize(
    "room",  # what the package itself offers is loaded when asked for: tests/audit/test_session.py
    [name for name, path in MODULES.items() if path.name == "__init__.py" and name != "unlearn_audit"],
)
def test_every_door_is_there(room):
    path = MODULES[room]
    held = {getattr(node, "name", "") for node in tree_of(path).body}
    held |= {alias.name for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom) for alias in node.names}
    for name in doors(room):
        assert name in held or (path.parent / f"{name}.py").is_file() or (path.parent / name / "__init__.py").is_file()


def test_plug_ins_import_the_api_and_their_neighbours_alone():
    taken = {
        f"{one} -> {other}"
        for one, other in graph().edges
        if one.split(".")[0] in PLUGIN_FOLDERS and other.startswith("unlearn_audit")
        if not (other == "unlearn_audit.api" or other.startswith("unlearn_audit.api."))
    }
    assert not taken


def test_no_plug_in_imports_another():
    """A technique stands in its own file or folder; what several need lies in `shared` (or `tools`)."""

    def home(module: str) -> str:
        parts = module.split(".")
        return ".".join(parts[:2])

    taken = {
        f"{one} -> {other}"
        for one, other in graph().edges
        if one.split(".")[0] in PLUGIN_FOLDERS and other.split(".")[0] == one.split(".")[0]
        if home(one) != home(other) and home(other).split(".")[-1] not in ("shared", "attacks", "probes")
    }
    assert not taken


def names_in(folder: Path) -> list[str]:
    """What a reader sees in a folder: no dunder files, no marker for types, no stubs, nothing that Python left."""
    return [
        path.name
        for path in folder.iterdir()
        if path not in STUBS and not path.name.startswith(("__", ".")) and path.name != "py.typed"
        if path.is_file() or any("__pycache__" not in one.parts for one in path.rglob("*") if one.is_file())
    ]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_folder_says_what_it_is_for_and_is_small(folder):
    assert ast.get_docstring(tree_of(folder / "__init__.py"))
    assert len(names_in(folder)) <= MOST_NAMES


@pytest.mark.parametrize(
    "folder",
    sorted({path.parent for path in (ROOT / "tests").rglob("*.py")} - {ROOT / "tests"}),
    ids=lambda one: one.name,
)
def test_a_folder_of_tests_is_small(folder):
    assert len(names_in(folder)) <= MOST_NAMES


def test_every_room_has_its_tests():
    rooms = {path.name for path in (ROOT / "unlearn_audit").iterdir() if (path / "__init__.py").is_file()}
    tested = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    assert rooms - {"testing"} <= tested  # the contract tests are the tests of `testing`
    assert "contract" in tested


def functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def test_no_function_is_long():
    long = [
        f"{path.relative_to(ROOT)}:{node.name}"
        for path, node in functions()
        if (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION
    ]
    assert not long


def test_files_are_short():
    assert statistics.median(len(path.read_text(encoding="utf-8").splitlines()) for path in FILES) <= MEDIAN_FILE


def test_every_parameter_has_a_type():
    """mypy --strict holds it for the whole; this says it of nested functions and lambdas' hosts as well."""
    untyped = []
    for path, node in functions():
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        untyped += [
            f"{path.relative_to(ROOT)}:{node.name}({one.arg})"
            for one in given
            if one.annotation is None and one.arg not in ("self", "cls")
        ]
    assert not untyped


def test_run_and_verdict_do_not_know_each_other_and_the_verdict_sees_the_case_alone():
    taken = [
        f"{one} -> {other}"
        for one, other in graph().edges
        if (room_of(one), room_of(other)) in {("run", "verdict"), ("verdict", "run"), ("verdict", "models")}
        or ((room_of(one), room_of(other)) == ("verdict", "plan") and other != "unlearn_audit.plan.case")
    ]
    assert not taken
