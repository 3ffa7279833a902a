"""Every probe through its contract: each fact and measure scored or missing with a reason, blind and harmless."""

from __future__ import annotations

import pytest

from unlearn_audit.api import Probe
from unlearn_audit.api.plugins import PROBES, named, names
from unlearn_audit.testing import check_probe

NAMES = sorted(names(PROBES))
SHORT = {"max_new_tokens": 16}
# Fast settings, where the default would take long: a random model stops nowhere. A probe without a row fails.
SETTINGS = {
    "extraction-strength": {},
    "forced-choice": {},
    "forms": SHORT,
    "in-context": {},
    "jailbreaks": SHORT,
    "lens": {},
    "multihop": {},
    "multihop-choice": {},
    "perturbed": {},
    "recall": {},
    "sampling": {**SHORT, "samples": 4},
    "stepwise": SHORT,
    "surrogate": {},
    "thinking": SHORT,
    "utility": {},
    "verbatim": {},
    "wrong-answers": {},
}


def test_every_probe_has_a_row():
    assert set(SETTINGS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_probe_keeps_its_contract(name):
    kind = named(PROBES, Probe, name, "probes")
    assert kind.name == name
    check_probe(kind, SETTINGS[name])
