"""Rules, waivers and seals: what lets a finding pass that should not, or a changed run through."""

from __future__ import annotations

from mutant_list.mutant import Mutant

RULES = "tests/verdict/test_rules.py"
WAIVERS = "tests/verdict/test_waivers.py"
GATE = "tests/cli/test_gate.py"

POLICIES = (
    Mutant(
        name="expired-waiver-waives",
        wrong="a waiver goes on after its last day",
        file="unlearn_audit/verdict/policy/waivers.py",
        old="    if waivers.on > waiver.expires:\n",
        new="    if waivers.on < waiver.expires < waivers.on:\n",
        tests=(f"{WAIVERS}::test_a_waiver_holds_through_its_last_day",),
    ),
    Mutant(
        name="waiver-of-another-model",
        wrong="a waiver outlives the model that it was given for",
        file="unlearn_audit/verdict/policy/waivers.py",
        old="    if waiver.model != checkpoint:\n",
        new="    if not checkpoint:\n",
        tests=(f"{WAIVERS}::test_a_waiver_of_something_else_says_so_and_waives_nothing",),
    ),
    Mutant(
        name="errors-can-be-waived",
        wrong="what did not run is waived",
        file="unlearn_audit/verdict/policy/waivers.py",
        old="WAIVABLE = (Status.FAILED, Status.INCONCLUSIVE, Status.NO_POWER)",
        new="WAIVABLE = (Status.FAILED, Status.INCONCLUSIVE, Status.NO_POWER, Status.ERROR)",
        tests=(f"{WAIVERS}::test_what_is_open_can_be_waived_and_what_did_not_run_cannot",),
    ),
    Mutant(
        name="rule-asks-in-vain",
        wrong="a finding passes with fewer facts or controls than its rule asks for",
        file="unlearn_audit/verdict/decide.py",
        old="gaps=one.gaps + lacking, runs",
        new="gaps=one.gaps + lacking[:0], runs",
        tests=(f"{RULES}::test_what_a_rule_asks_for_and_is_not_there_rules_out_a_pass_and_no_fail",),
    ),
    Mutant(
        name="rule-may-name-nothing",
        wrong="a required rule with a misspelt name is met by nothing",
        file="unlearn_audit/verdict/outcome.py",
        old="    open_ends += uncovered(case, policy)\n",
        new="    uncovered(case, policy)\n",
        tests=(f"{RULES}::test_a_required_rule_must_cover_what_it_names",),
    ),
    Mutant(
        name="rule-spends-more-alpha",
        wrong="a rule may err more often than the policy",
        file="unlearn_audit/spec/policy.py",
        old="            if rule.alpha is not None and rule.alpha > self.alpha:\n",
        new="            if rule.alpha is not None and rule.alpha > 1:\n",
        tests=(f"{RULES}::test_a_rule_may_not_err_more_often_than_the_policy",),
    ),
    Mutant(
        name="seal-not-looked-at",
        wrong="a run goes through the gate although a file was changed",
        file="unlearn_audit/finished/redecide.py",
        old="    problems = manifest_problems(run)[1] if sealed else []\n",
        new="    problems = manifest_problems(run)[1][:0] if sealed else []\n",
        tests=(f"{GATE}::test_a_tampered_run_is_exit_5[spec]",),
    ),
    Mutant(
        name="result-not-decided-again",
        wrong="a result that was changed together with its manifest goes through the gate",
        file="unlearn_audit/finished/redecide.py",
        old="    elif verdict is not None and not agrees(result, verdict):\n",
        new="    elif verdict is not None and agrees(result, verdict) is None:\n",
        tests=(f"{GATE}::test_a_tampered_run_is_exit_5[resealed]",),
    ),
)
