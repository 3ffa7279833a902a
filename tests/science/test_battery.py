"""Attacks beyond quantization and relearning, on organisms: what is masked comes back, what never was does not.

The whole battery on more organisms is a benchmark (`python -m benchmarks.battery`, docs/battery.md).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from tests.science.conftest import run_audit
from unlearn_audit.api.terms import Status
from unlearn_audit.demo import ASSETS, organism_spec
from unlearn_audit.verdict.result import Finding, Outcome, Result

pytestmark = pytest.mark.science

LIFTING = ("ablation", *(pytest.param(name, marks=pytest.mark.slow) for name in ("soft-prompt", "suffix")))
"""Attacks that must bring a refused answer back; the searches take minutes. `tests/attacks` has both on tiny models."""

LEAST_BACK = {"ablation": 0.5, "soft-prompt": 0.5, "suffix": 0.25}
"""Tokens bring back less than free embeddings: 0.30 in `quick`."""

OTHERS = ("ablation", "best-of-n", "noise", "pruning", "soft-prompt", "steering")
PROBES = {"recall": {"max_paraphrases": 0}}


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory, facts: dict[str, str]) -> Callable[..., Result]:
    """The audit of an organism by attacks of this file, against one control, on some of the facts."""
    store = tmp_path_factory.mktemp("battery-store")

    @cache
    def run(name: str, *chosen: str) -> Result:
        attacks = {attack: {} for attack in ("as-is", *chosen)}
        update = {"attacks": attacks, "probes": PROBES, "retrained": (str(ASSETS / "retrained-2"),), **facts}
        out = tmp_path_factory.mktemp(f"battery-{name}") / "run"
        return run_audit(organism_spec(name).model_copy(update=update), out, store)

    return run


def finding(result: Result, attack: str) -> Finding:
    return next(found for found in result.verdict.findings if found.id == f"{attack}/recall.hit")


@pytest.mark.parametrize("attack", LIFTING)
def test_what_a_refusal_hides_comes_back(audited, attack):
    result = audited("refusal", attack)
    assert result.outcome is Outcome.FAIL
    assert finding(result, "as-is").status is Status.PASSED
    found = finding(result, attack)
    assert found.status is Status.FAILED, found.reason
    assert found.recovered > LEAST_BACK[attack]


@pytest.mark.slow
def test_what_was_never_learned_comes_back_by_none(audited):
    result = audited("retrained-1", *OTHERS)
    failed = [found.id for found in result.verdict.findings if found.status in (Status.FAILED, Status.ERROR)]
    assert failed == []
    assert not result.case.faults
    estimates = [cell.excess.estimate for found in result.verdict.findings if found.gates for cell in found.cells]
    assert sum(estimate > 0 for estimate in estimates) <= len(estimates) / 20
