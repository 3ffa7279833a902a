"""The audits: other attacks, other probes, other sizes. No constant of the estimate was fitted to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from unlearn_audit.api import Profile
from unlearn_audit.demo import organism_spec
from unlearn_audit.spec.spec import AuditSpec

FEW = ("recall", "utility")
USUAL = ("recall", "forced-choice", "extraction-strength", "utility")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One audit.

    Attributes:
        about: what is different about it.
        checkpoint: the organism.
        attacks: by name, with their settings.
        probes: by name; None for all.
        roles: which models run beside the checkpoint.
    """

    name: str
    about: str
    checkpoint: str = "npo"
    attacks: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    probes: Sequence[str] | None = FEW
    controls: int = 1
    original: bool = True
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)

    def spec(self) -> AuditSpec:
        """Its request."""
        whole = organism_spec(self.checkpoint)
        probes = None if self.probes is None else {name: self.settings.get(name, {}) for name in self.probes}
        return whole.model_copy(
            update={
                "original": whole.original if self.original else None,
                "retrained": whole.retrained[: self.controls],
                "profile": Profile.QUICK,
                "attacks": {"as-is": {}, **{name: settings or {} for name, settings in self.attacks.items()}},
                "probes": probes,
            }
        )


def kinds() -> Iterator[Kind]:
    """All of them, the cheapest first."""
    yield Kind(name="bare", about="as it is, recall alone", probes=("recall",), original=False, controls=0)
    yield Kind(name="controls", about="as it is, against the original and two controls", controls=2)
    yield Kind(name="usual", about="as it is, four probes", probes=USUAL)
    yield Kind(name="noise", about="noise on the weights", attacks={"noise": None}, checkpoint="gradient-difference")
    yield Kind(name="drawn", about="answers drawn at random", probes=("recall", "sampling"), controls=0)
    yield Kind(name="rounded", about="quantization", attacks={"quantization": None}, checkpoint="nf4-masked")
    yield Kind(name="forms", about="other ways of asking", probes=("recall", "forms", "perturbed"), controls=0)
    yield Kind(name="steered", about="steering", attacks={"steering": None}, checkpoint="refusal")
    yield Kind(
        name="taught",
        about="relearning at one rate",
        attacks={"relearning": {"data": ["in-domain"], "learning_rates": {"lora": [3e-3]}, "steps": [0, 40, 160]}},
        original=False,
        controls=0,
    )
    yield Kind(name="soft", about="a soft prompt", attacks={"soft-prompt": None}, original=False, controls=0)
    yield Kind(name="all", about="as it is, all probes", probes=None, checkpoint="retrained-1", controls=1)
