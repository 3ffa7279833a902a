"""What lies in a run directory may hold anything: read, or refused in words."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.finished.finished_run import finished_run, small
from tests.fuzzing import AMOUNTS, damaged, refused_or_read, values
from unlearn_audit.evidence.manifest import MANIFEST, manifest_problems
from unlearn_audit.finished.merge import merged
from unlearn_audit.plan.plan import Plan
from unlearn_audit.report.formats.json import load_result
from unlearn_audit.verdict.result import RESULT, Result


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "run"
    finished_run(path, small(6))
    return path


def merge(path):
    target = path.parent / "merged"
    shutil.rmtree(target, ignore_errors=True)
    merged([path.parent], target)


READERS = {
    RESULT: load_result,
    MANIFEST: lambda path: manifest_problems(path.parent),
    "plan.json": Plan.read,
    "shard.json": merge,
}
KEYS = {
    RESULT: (*Result.model_fields, "schema_version"),
    MANIFEST: ("files", "result.json", "manifest_version", "..", "/"),
    "plan.json": Plan.model_fields,
    "shard.json": ("jobs", "policy", "case", "models"),
}


@pytest.mark.parametrize("name", READERS)
@AMOUNTS
def test_a_damaged_file(run, tmp_path, name, amount):
    sound = (run / name).read_bytes() if (run / name).exists() else (run / RESULT).read_bytes()

    @amount
    @given(damaged(sound))
    def check(content):
        refused_or_read(READERS[name], tmp_path / name, content)

    check()


@pytest.mark.parametrize("name", READERS)
@AMOUNTS
def test_other_values_under_the_right_keys(tmp_path, name, amount):
    keys = list(KEYS[name])

    @amount
    @given(st.dictionaries(st.sampled_from(keys), values(keys), max_size=6), st.booleans())
    def check(content, versioned):
        content = {**content, **({"schema_version": 2, "files": {"result.json": 1, **content}} if versioned else {})}
        refused_or_read(READERS[name], tmp_path / name, json.dumps(content).encode())

    check()
