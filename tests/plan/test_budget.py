"""A budget of time: what stays, what is left out and said, and that a run that goes on keeps its choice."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.cli.test_cli import invoke, request, world  # noqa: F401
from unlearn_audit.audit import prospects
from unlearn_audit.plan import budget
from unlearn_audit.plan.budget import plan_within, required_attacks, too_dear
from unlearn_audit.plan.forecasting.forecast import Forecast
from unlearn_audit.plan.make import make_plan
from unlearn_audit.spec.policy import Policy, Release
from unlearn_audit.spec.spec import AuditSpec

SECONDS = {"as-is": 60.0, "quantization": 100.0, "relearning": 300.0, "suffix": 900.0, "noise": 20.0, "ablation": 40.0}


@pytest.mark.parametrize(
    ("seconds", "left_out"),
    [
        (2000, ()),
        (460, ("ablation", "noise", "suffix")),  # as it is and what is required, to the second
        (520, ("suffix",)),  # ablation has proven most, and noise still fits
        (500, ("noise", "suffix")),
        (200, ("noise", "relearning", "suffix")),  # of what is required, what fits; then what has proven most
        (1, ("ablation", "noise", "quantization", "relearning", "suffix")),  # the model as it is is always asked
    ],
)
def test_what_is_required_comes_first_and_then_what_has_proven_most(seconds, left_out) -> None:
    required = ("quantization", "relearning")
    assert too_dear(SECONDS, seconds, required) == left_out
    assert too_dear(dict(reversed(SECONDS.items())), seconds, required) == left_out


def test_the_required_attacks_are_those_of_the_policy_at_the_tier() -> None:
    spec = AuditSpec(
        checkpoint="m",
        forget="f",
        release=Release.API,
        policy=Policy(
            required={Release.API: ("quantization@nf4/recall", "prefill"), Release.OPEN_WEIGHTS: ("relearning",)},
            without={"prefill": "not now"},
        ),
    )
    assert required_attacks(spec) == ("quantization",)
    served = spec.model_copy(update={"served": ("model.gguf",)})
    assert required_attacks(served) == ("served", "quantization")


def spec_of(world, **changes) -> AuditSpec:  # noqa: F811
    return AuditSpec(
        checkpoint=str(world / "model"),
        original=str(world / "model"),
        retrained=(str(world / "control"),),
        forget=str(world / "forget.jsonl"),
        retain=str(world / "retain.jsonl"),
        profile="quick",
        attacks={"quantization": {}, "relearning": {}, "noise": {}},
        probes={"recall": {}, "utility": {}},
        **changes,
    )


@pytest.fixture
def slow(monkeypatch):
    """A machine on which everything takes so many times as long."""

    def at(times: float) -> None:
        def foretold(live):
            attacks = {name: times * SECONDS[name] for name in live.plan.attacks}
            return Forecast(attacks=attacks, probes=dict.fromkeys(live.plan.probes, times))

        for module in (budget, prospects):
            monkeypatch.setattr(module, "forecast", foretold)

    return at


def test_what_does_not_fit_is_left_out_with_the_reason_and_a_run_that_goes_on_keeps_the_choice(world, slow) -> None:  # noqa: F811
    slow(60 / 161)  # so that as-is and quantization just fit into a minute
    live = plan_within(spec_of(world, budget="1m"))
    assert set(live.plan.attacks) == {"as-is", "quantization"}
    left_out = {one.what: one.why for one in live.case.left_out}
    assert "it does not fit into the budget of 1m" in left_out["relearning"]
    assert {job.attack for job in live.plan.jobs} == {"as-is", "quantization"}
    out = world / "run"
    out.mkdir()
    (out / "spec.yaml").write_text(live.plan.spec.as_yaml())
    slow(1e-6)  # the machine is idle now
    assert plan_within(spec_of(world, budget="1m"), out).plan.jobs == live.plan.jobs
    assert "relearning" in plan_within(spec_of(world, budget="2m"), out).plan.attacks
    shutil.rmtree(out)
    assert "relearning" in plan_within(spec_of(world, budget="1m"), out).plan.attacks


def test_plan_says_what_the_budget_costs_and_what_takes_the_time(world, slow, invoke) -> None:  # noqa: F811
    slow(1e3)
    code, out, _ = invoke("plan", *request(world), "--budget", "1m")
    told = " ".join(out.split())
    assert code == 3  # what the policy requires does not fit
    assert "skipped: relearning: it does not fit into the budget of 1m (--budget)" in told
    assert "relearning: the policy requires it, but it was skipped" in told
    assert "The budget of 1m is not enough for the model as it is" in told
    slow(1e-6)
    _, out, _ = invoke("plan", *request(world), "--budget", "2h", "--json")
    about = json.loads(out)
    assert set(about["estimated_minutes"]["attacks"]) == {"as-is", "quantization", "relearning"}
    assert about["spec"]["too_dear"] == []
    assert "The plan fits into the budget of 2h." in about["power"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--budget", "15"), "'budget': expected a time such as 90s, 15m or 2h"),
        (("--budget", "1m", "--shard", "1/2"), "expected --shard or --budget, got both"),
    ],
)
def test_what_is_no_budget_is_refused(world, invoke, flags, message) -> None:  # noqa: F811
    code, _, err = invoke("run", *request(world), *flags, "--out", world / "out")
    assert code == 2
    assert message in " ".join(err.split())


def test_an_attack_runs_in_its_profiles_and_wherever_it_is_named(world) -> None:  # noqa: F811
    spec = spec_of(world)
    whole = make_plan(spec.model_copy(update={"attacks": None})).plan
    assert "few-shot" not in whole.attacks
    (left,) = [one.why for one in whole.case.left_out if one.what == "few-shot"]
    assert left.startswith("it is not in the profile quick, only in standard and deep")
    assert "few-shot" in make_plan(spec.model_copy(update={"attacks": {"few-shot": {}}})).plan.attacks
