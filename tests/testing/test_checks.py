"""The contract tests fail on what is broken, with a sentence that says what, and pass what is sound."""

from __future__ import annotations

import pytest

from tests.testing import broken
from unlearn_audit.testing import (
    ContractError,
    check_attack,
    check_comparison,
    check_preset,
    check_probe,
    check_writer,
)

CHECKS = {
    check_attack: {
        broken.Still: None,
        broken.WritesIntoWeights: "WritesIntoWeights|still was left at the end, the model's weights are not",
        broken.WritesIntoTheOriginal: "after still asked for the original, the model's weights are not",
        broken.Swallows: "an exception between two doses must leave",
        broken.OtherEachTime: "another attack the second time",
        broken.LeavesFactsOut: "dose 'one': over all arms every forget fact must be scored once",
        broken.MovesRandomness: "global random state",
        broken.Mumbles: "summary must begin with a capital",
    },
    check_probe: {
        broken.Even: None,
        broken.Omits: "no reading of half for 'text'",
        broken.Invents: "'unheard-of': no fact with that id was requested",
        broken.DependsOnCompany: "a score may not depend on others",
        broken.JudgesItself: "asks the audit's judge nothing",
    },
    check_comparison: {
        broken.Counts: None,
        broken.KeepsText: "feature 'said' is of type <U6; expected numbers",
        broken.NeverEnds: "not finite",
    },
    check_writer: {
        broken.Plain: None,
        broken.Stamps: "equal material must give equal bytes",
        broken.Raw: r"lets U\+001B",
        broken.AsksForNothing: "never asks for observations",
    },
    check_preset: {
        broken.Pairs: None,
        broken.OneId: "two facts one id",
        broken.OtherFields: "is not a fact: Unexpected keyword argument",
        broken.TakesAnything: "takes rows of another layout without a word",
        broken.TellsTheSecret: "repeats a value",
    },
}
CASES = [(check, plugin, message) for check, plugins in CHECKS.items() for plugin, message in plugins.items()]


@pytest.mark.parametrize(
    ("check", "plugin", "message"), CASES, ids=[f"{check.__name__}-{plugin.__name__}" for check, plugin, _ in CASES]
)
def test_a_check_passes_what_is_sound_and_names_what_is_broken(check, plugin, message):
    if message is None:
        check(plugin)
        return
    with pytest.raises(ContractError, match=message):
        check(plugin)


def test_a_class_of_another_kind_is_refused():
    with pytest.raises(ContractError, match="Even must derive from Attack"):
        check_attack(broken.Even)


def test_what_is_abstract_is_named():
    class Bare(broken.Still):
        """Has no arms."""

        arms = broken.Attack.arms

    with pytest.raises(ContractError, match="must implement arms"):
        check_attack(Bare)
