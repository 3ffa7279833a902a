"""Runs that are killed at random moments and resumed come to the same evidence: 8 of the 200 of `make kills`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import kills as benchmark
from tests.warm import copied

KILLS = 8


def test_killed_and_resumed_runs_give_the_evidence_of_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["kills", "--kills", str(KILLS), "--out", str(tmp_path)])
    done = copied(lambda: sys.exit(benchmark.main()), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = [json.loads(line) for line in (tmp_path / "kills.jsonl").read_text().splitlines()]
    assert len({one["digest"] for one in found}) == 1
    kills = [kill for one in found for kill in one["kills"]]
    stopped = [kill for kill in kills if kill["code"] not in (0, 1, 3)]
    # They are worth something: of both signals, many before the end, some with part of the jobs done.
    assert len(kills) == KILLS
    assert {kill["signal"] for kill in kills} == {"SIGKILL", "SIGTERM"}
    assert len(stopped) >= KILLS // 3
    assert any(kill["jobs"] > 0 for kill in stopped)
