"""What a mutant is, and where its tests stand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One wrong version.

    Attributes:
        name: short, for the command line and the table.
        wrong: what it does that a verdict must not.
        file: the source, from the root of the repository.
        old: the text to replace, which occurs there once.
        new: what stands in its place.
        tests: pytest's ids of the tests of which one at least must fail.
        with_models: they need the fixtures of `tests/conftest.py`.
    """

    name: str
    wrong: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    with_models: bool = False


def in_verdict(*names: str) -> tuple[str, ...]:
    """Tests of the rules, on made-up evidence."""
    return tuple(f"tests/verdict/test_verdict.py::test_{name}" for name in names)


def in_controls(*names: str) -> tuple[str, ...]:
    """Tests of plants, shams and stand-ins."""
    return tuple(f"tests/verdict/test_verdict_controls.py::test_{name}" for name in names)


def in_mutants(*names: str) -> tuple[str, ...]:
    """Tests that a surviving mutant asked for."""
    return tuple(f"tests/verdict/test_verdict_mutants.py::test_{name}" for name in names)


def in_statistics(*names: str) -> tuple[str, ...]:
    """Tests of bounds and p-values."""
    return tuple(f"tests/statistics/test_bounds.py::test_{name}" for name in names)
