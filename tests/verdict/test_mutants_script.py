"""The list of mutants fits the sources as they are, and its script does not take a broken mutant for a dead one."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "benchmarks"))  # at the end: nothing there may shadow anything

from mutant_list import MUTANTS, Mutant  # noqa: E402
from mutants import Fate, ListError, mutated, run, table  # noqa: E402

NAMES = {one.name: one for one in MUTANTS}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.name)
def test_a_mutant_fits_the_sources_and_names_tests_that_exist(mutant: Mutant) -> None:
    assert mutated(mutant, ROOT) != (ROOT / mutant.file).read_text(encoding="utf-8")
    assert mutant.tests
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text(encoding="utf-8")


def test_names_are_unique_and_no_mutant_is_there_twice() -> None:
    assert len(NAMES) == len(MUTANTS)
    assert len({(one.file, one.old, one.new) for one in MUTANTS}) == len(MUTANTS)


MADE_UP = Mutant(name="made-up", wrong="", file="code.py", old="x = 1", new="x = 2", tests=("test_code.py",))


@pytest.mark.parametrize(
    ("source", "new", "message"),
    [
        ("y = 1\n", "x = 2", "occurs 0 times"),
        ("x = 1\nx = 1\n", "x = 2", "occurs 2 times"),
        ("x = 1\n", "x = (", "is not Python"),
    ],
)
def test_a_mutant_that_does_not_fit_is_an_error(tmp_path: Path, source: str, new: str, message: str) -> None:
    (tmp_path / "code.py").write_text(source)
    with pytest.raises(ListError, match=message):
        mutated(replace(MADE_UP, new=new), tmp_path)


def test_the_table_names_the_killer_or_the_wrong_that_goes_unseen() -> None:
    fates = [
        Fate(mutant=replace(MADE_UP, name="dead"), killer="test_that_sees"),
        Fate(mutant=replace(MADE_UP, name="alive", wrong="it lies"), killer=None),
    ]
    assert table(fates) == "dead   killed by test_that_sees\nalive  SURVIVED: it lies\n1 of 2 killed"


@pytest.mark.slow
def test_real_mutants_die_and_a_change_that_changes_nothing_survives() -> None:
    harmless = replace(NAMES["never-fails"], name="harmless", new=NAMES["never-fails"].old + "    # as it was\n")
    fates = run([NAMES["never-fails"], NAMES["no-holm"], harmless], ROOT, jobs=2)
    assert [one.killer is None for one in fates] == [False, False, True]
    assert fates[1].killer == "test_holm_counts_the_findings_that_the_plan_fixed"


@pytest.mark.slow
def test_a_mutant_that_does_not_run_is_no_kill() -> None:
    crash = replace(NAMES["no-holm"], new="    adjusted = no_such_name(p_values)\n")
    with pytest.raises(ListError, match="does not run"):
        run([crash], ROOT, jobs=1)


@pytest.mark.slow
def test_a_test_that_fails_anyway_is_no_kill() -> None:
    missing = replace(NAMES["no-holm"], tests=("tests/verdict/test_verdict.py::test_that_is_not_there",))
    with pytest.raises(ListError, match="could not run"):
        run([missing], ROOT, jobs=1)
