"""Twelve organisms of two tiny parents from start to end: built, audited, judged by others, counted, on the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.validity import __main__ as command
from benchmarks.validity.auditing import kept
from benchmarks.validity.auditing.entering import enter_published_one
from benchmarks.validity.auditing.tool import Battery, audit_one
from benchmarks.validity.making import building, zoo
from benchmarks.validity.making.zoo import Recipe
from benchmarks.validity.page import board, tables
from benchmarks.validity.paths import Home
from benchmarks.validity.people.kinds import Kind
from benchmarks.validity.people.worlds import Architecture, World
from benchmarks.validity.truth import collecting
from benchmarks.validity.truth.results import Results, read_results
from benchmarks.validity.truth.tabulation import Truth
from unlearn_audit.verdict.result import Outcome

WORLDS = tuple(
    World(name=name, architecture=architecture, kind=Kind.PEOPLE, seed=1, subjects=8, others=8, template=template)
    for name, architecture, template in (("one", Architecture.LLAMA, True), ("two", Architecture.GPT2, False))
)
AUDITED = ("retrained-3", "refusal-1", "generation-settings-1")
STEPS = {"original": 120, "retrained-1": 60, "retrained-2": 60, "retrained-3": 60, "refusal-1": 30}


def short(world: World) -> tuple[Recipe, ...]:
    return tuple(
        replace(one, settings={**one.settings, "steps": STEPS[one.name]}) if one.name in STEPS else one
        for one in zoo.recipes(world)
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """A folder with the page, its figure and the results."""
    folder = tmp_path_factory.mktemp("validity")
    with pytest.MonkeyPatch.context() as patch:
        make(folder, patch)
    return folder


def make(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """All steps of the benchmark, in a folder of its own."""
    home = Home(folder=folder)
    for module in (building, kept, collecting):
        patch.setattr(module, "recipes", short)
    for name, value in {"RESULTS": "results.json", "PAGE": "page.md", "FIGURE": "figure.svg"}.items():
        patch.setattr(command, name, folder / value)
    patch.setattr(command, "WORLDS", WORLDS)
    for world in WORLDS:
        for recipe in [one for one in short(world) if one.name in AUDITED]:
            list(building.build_needed(home, world, recipe))
            audit_one(home, world, recipe, Battery.REQUIRED)
            enter_published_one(home, world, recipe)
    markers = (board.START, board.END, tables.START, tables.END, *tables.FIRST)
    (folder / "page.md").write_text("\n\n".join(markers))
    command.write_results(folder / "results.json", collecting.collect(home, WORLDS))
    command.write_page()


@pytest.fixture(scope="module")
def results(page) -> Results:
    return read_results(page / "results.json")


@pytest.mark.slow
def test_the_tool_is_right_about_what_knows_and_wrong_about_none(results):
    found = {(one.organism.world, one.organism.name): one for one in results.decided["required"]}
    assert len(found) == len(WORLDS) * len(AUDITED)
    for one in found.values():
        assert one.outcome is not Outcome.ERROR, one.deciding
        if one.organism.truth is Truth.KNOWS:
            assert one.outcome is Outcome.FAIL, one
        else:
            assert one.outcome is not Outcome.FAIL, one  # eight people are too few to pass by


@pytest.mark.slow
def test_every_auditor_said_something_of_every_model(results):
    rows = results.by_auditor()
    assert {"probability", "relearning alone", "UnlearnGuard's rule", "depth score (UDS)"} <= set(rows)
    assert {len(said) for said in rows.values()} == {len(WORLDS) * len(AUDITED)}


@pytest.mark.slow
def test_the_page_has_a_row_an_auditor_and_the_figure_a_mark(page, results):
    text, drawn = (page / "page.md").read_text(), (page / "figure.svg").read_text()
    for name in results.by_auditor():
        assert f"| {name} | " in text
        assert name.replace("'", "&#x27;") in drawn or name in drawn
    assert "The battery of these tables is `required`" in text
    assert "| one | retrained-3 |" in text
