"""Contract tests for plug-ins: what our own are held to, for anybody's class.

Each check takes a class, tries it on a tiny random model that it builds itself, and raises `ContractError` with a
sentence for the first promise of the interface that is broken. It needs no network and no accelerator, and works under
any test runner:

    from unlearn_audit.testing import check_attack

    def test_my_attack_keeps_the_contract():
        check_attack(MyAttack, {"steps": [0, 2]})

The second argument holds parameters that make the plug-in fast on a model of two layers. A check says nothing about
whether a plug-in finds what it looks for: that needs a model about which the truth is known.
"""

from __future__ import annotations

from unlearn_audit.testing.attacks import check_attack
from unlearn_audit.testing.comparisons import check_comparison
from unlearn_audit.testing.models import tiny_model
from unlearn_audit.testing.presets import check_preset
from unlearn_audit.testing.probes import check_probe
from unlearn_audit.testing.promises import ContractError
from unlearn_audit.testing.writers import check_writer

__all__ = [
    "ContractError",
    "check_attack",
    "check_comparison",
    "check_preset",
    "check_probe",
    "check_writer",
    "tiny_model",
]
