"""Audits of the bundled organisms, each run once for the whole session, on a store that they share."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock
from rich.console import Console

from unlearn_audit.audit import audit
from unlearn_audit.cli.telling.progress import Quiet
from unlearn_audit.demo import brief_facts, organism_spec
from unlearn_audit.plan.make import make_plan
from unlearn_audit.report.formats.json import load_result
from unlearn_audit.spec.policy import Policy
from unlearn_audit.spec.spec import AuditSpec
from unlearn_audit.verdict.result import Result

# A few of the quantizers, doses and wordings, one learning rate, and one of each subject's three facts, to keep the
# suite within minutes; the demo runs and asks all, and chooses the rate.
NF4, BOTH = ({"quantization": {"quantizers": kinds}} for kinds in (["nf4"], ["nf4", "fp4"]))
SOME, MORE = (
    {"relearning": {"steps": [steps], "data": ["in-domain"], "learning_rates": {"lora": [3e-3]}}} for steps in (20, 40)
)
ATTACKS = {"nf4-masked": BOTH, "refusal": MORE, "npo": NF4 | MORE}
"""What an organism's test is about, where that is not NF4 and some relearning."""

PROBES = {"recall": {"max_paraphrases": 1}, "forced-choice": {}, "utility": {}}
SHORT = Policy(
    without={
        "quantization@int8": "it rounds like nf4, and takes as long",
        "relearning": "it is trained too briefly here to reach its plateau",
    }
)


def run_audit(spec: AuditSpec, out: Path, store: Path | None = None) -> Result:
    """One audit, without a display."""
    return audit(make_plan(spec), out, Quiet(Console(stderr=True)), shared=store)


def small_spec(name: str, facts: dict[str, str]) -> AuditSpec:
    """The audit of an organism by what its test is about."""
    attacks = {"as-is": {}} | ATTACKS.get(name, NF4 | SOME)
    return organism_spec(name).model_copy(update={"attacks": attacks, "probes": PROBES, "policy": SHORT, **facts})


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for all processes of a session."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def shared_store(shared: Path) -> Path:
    """The store that all audits of a session share."""
    return shared / "shared-store"


@pytest.fixture(scope="session")
def facts() -> dict[str, str]:
    """The fact files of `small_spec`."""
    return brief_facts()


@pytest.fixture(scope="session")
def run_of(shared: Path, shared_store: Path, facts: dict[str, str]) -> Callable[[str], Path]:
    """The run directory of an organism's audit, by its name; no process runs what another has run or is running."""

    @cache
    def run(name: str) -> Path:
        out = shared / "audits" / name
        out.parent.mkdir(exist_ok=True)
        with FileLock(out.with_suffix(".lock")):
            if not (out / "manifest.json").exists():
                run_audit(small_spec(name, facts), out, shared_store)
        return out

    return run


@pytest.fixture(scope="session")
def audited(run_of: Callable[[str], Path]) -> Callable[[str], Result]:
    """The result of auditing an organism, by its name."""
    return lambda name: load_result(run_of(name) / "result.json")
