"""Every comparison through its contract: numbers out of each model, estimates out of numbers, no text on the way."""

from __future__ import annotations

import pytest

from unlearn_audit.api import Comparison
from unlearn_audit.api.plugins import COMPARISONS, named, names
from unlearn_audit.testing import check_comparison

NAMES = sorted(names(COMPARISONS))
# Fast settings; a comparison without a row fails the test that counts them.
SETTINGS = {
    "concepts": {},
    "distribution": {"samples": 1, "max_new_tokens": 8},
    "membership": {"prefix_facts": 2},
    "membership-gradient": {},
    "representation": {},
    "traces": {"prompts": 12, "answer_tokens": 8, "words": 256, "folds": 2, "benign_steps": 2},
    "unlearning-depth": {},
}


def test_every_comparison_has_a_row():
    assert set(SETTINGS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_comparison_keeps_its_contract(name):
    kind = named(COMPARISONS, Comparison, name, "comparisons")
    assert kind.name == name
    check_comparison(kind, SETTINGS[name])
