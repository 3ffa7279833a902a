"""Wrong versions of the code that gives the verdict, each of which a test must notice.

    make mutants
    python benchmarks/mutants.py [--jobs 2] [NAME ...]

A mutant is one exact replacement in one source file (`mutant_list/`). For each, the package and its tests are copied
into a temporary directory, the replacement is made there, and the tests that stand guard run against the copy. A mutant
whose tests still pass has survived: the verdict could be wrong in that way and nobody would see it. The exit code is 1
if one survives, and 2 where the list itself is at fault, which is never taken for a kill: a text that no longer
matches exactly once, a test that no longer exists or fails on the sources as they are, a mutant that does not run.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mutant_list import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("unlearn_audit", "attacks", "probes", "tests", "pyproject.toml")
SECONDS, SECONDS_A_TEST = 300, 10
"""What tests may take together, on a machine that is busy with other things as well."""
ALL_PASSED, SOME_FAILED = 0, 1  # pytest's exit codes; all others say that the tests did not run
NOT_RUNNING = ("NameError", "ImportError", "AttributeError", "UnboundLocalError", "ModuleNotFoundError")


class ListError(Exception):
    """The list of mutants does not fit the sources or the tests."""


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What became of a mutant: the test that killed it, or None where it survived."""

    mutant: Mutant
    killer: str | None


def mutated(mutant: Mutant, root: Path) -> str:
    """The mutant's source.

    Raises:
        ListError: its text does not occur exactly once in the file, or the result is not Python.
    """
    source = (root / mutant.file).read_text(encoding="utf-8")
    count = source.count(mutant.old)
    if count != 1:
        raise ListError(f"{mutant.name}: its text must occur once in {mutant.file}, and occurs {count} times")
    text = source.replace(mutant.old, mutant.new)
    try:
        compile(text, mutant.file, "exec")
    except SyntaxError as error:
        raise ListError(f"{mutant.name}: what it makes of {mutant.file} is not Python ({error})") from error
    return text


@contextmanager
def copy_of(root: Path) -> Iterator[Path]:
    """The package and its tests in a directory of their own, without the bundled models."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as scratch:
        for name in COPIED:
            source, target = root / name, Path(scratch) / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("assets", "__pycache__"))
            else:
                shutil.copy(source, target)
        yield Path(scratch)


def run_tests(root: Path, tests: Sequence[str], *, with_models: bool) -> subprocess.CompletedProcess[str]:
    """Runs tests on the package in `root`, to the first failure.

    Raises:
        ListError: they did not run, or took too long.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-rf", "--tb=line", "-p", "no:cacheprovider"]
    command += ["-p", "no:randomly"]  # the same test kills on every run
    if not with_models:
        command += ["--noconftest"]  # conftest.py builds models; the tests of the verdict need none
    try:
        done = _python(root, command + list(tests), SECONDS + SECONDS_A_TEST * len(tests))
    except subprocess.TimeoutExpired as error:
        raise ListError(f"{len(tests)} tests from {tests[0]} on: not done in {error.timeout:.0f} s") from error
    if done.returncode not in (ALL_PASSED, SOME_FAILED):
        raise ListError(f"{', '.join(tests)}: pytest could not run them\n{done.stdout[-2000:]}{done.stderr[-500:]}")
    return done


def _python(root: Path, command: Sequence[str], seconds: float = SECONDS) -> subprocess.CompletedProcess[str]:
    own = {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return subprocess.run(
        command,
        cwd=root,
        env={**{name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}, **own},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )


def check_baseline(mutants: Sequence[Mutant], root: Path) -> None:
    """Without any mutant all the tests pass, on the copy and not on whatever is installed.

    Raises:
        ListError: they do not.
    """
    with copy_of(root) as place:
        where = _python(place, [sys.executable, "-c", "import unlearn_audit; print(unlearn_audit.__file__)"])
        if not where.stdout.startswith(str(place)):
            raise ListError(f"the tests would run on {where.stdout.strip()}, and not on the copy {place}")
        for with_models in (False, True):
            tests = sorted({test for one in mutants if one.with_models == with_models for test in one.tests})
            if tests and (done := run_tests(place, tests, with_models=with_models)).returncode != ALL_PASSED:
                raise ListError(f"the tests fail without any mutant:\n{done.stdout[-2000:]}")


def fate_of(mutant: Mutant, root: Path) -> Fate:
    """Runs one mutant against its tests.

    Raises:
        ListError: it cannot be made, or its tests fail because it does not run at all.
    """
    with copy_of(root) as place:
        (place / mutant.file).write_text(mutated(mutant, root), encoding="utf-8")
        done = run_tests(place, mutant.tests, with_models=mutant.with_models)
    killer = None
    if done.returncode == SOME_FAILED:
        line = next(line for line in done.stdout.splitlines() if line.startswith("FAILED "))
        if any(name in line for name in NOT_RUNNING):
            raise ListError(f"{mutant.name} does not run, which shows nothing: {line}")
        killer = re.split(r"::| - ", line, maxsplit=2)[1]
    return Fate(mutant=mutant, killer=killer)


def table(fates: Sequence[Fate]) -> str:
    """One line a mutant: its name, its fate, its killer."""
    width = max(len(one.mutant.name) for one in fates)
    lines = [
        f"{one.mutant.name:{width}}  {'killed by ' + one.killer if one.killer else 'SURVIVED: ' + one.mutant.wrong}"
        for one in fates
    ]
    killed = sum(one.killer is not None for one in fates)
    return "\n".join([*lines, f"{killed} of {len(fates)} killed"])


def run(mutants: Sequence[Mutant], root: Path, jobs: int) -> list[Fate]:
    """The fates of all mutants, in their order."""
    for mutant in mutants:  # before anything slow
        mutated(mutant, root)
    check_baseline(mutants, root)
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        return list(pool.map(lambda mutant: fate_of(mutant, root), mutants))


def main() -> int:
    """Runs, prints, and says by its exit code whether one survived."""
    parser = argparse.ArgumentParser(description="Checks that tests notice wrong versions of the verdict's code.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="run these mutants alone")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - {one.name for one in MUTANTS})
    if unknown:
        parser.error(f"no mutant named {unknown[0]!r}")
    chosen = [one for one in MUTANTS if not arguments.names or one.name in arguments.names]
    try:
        fates = run(chosen, ROOT, arguments.jobs)
    except ListError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(fates))
    return 1 if any(one.killer is None for one in fates) else 0


if __name__ == "__main__":
    sys.exit(main())
