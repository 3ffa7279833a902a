"""What the relearning adversary may spend, and what each profile spends where the parameters leave it open."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from unlearn_audit import api
from unlearn_audit.api import Profile


class Method(StrEnum):
    """What is trained: a low-rank adapter beside the weights, or the weights themselves."""

    LORA = "lora"
    FULL = "full"


METHODS = {
    Profile.QUICK: (Method.LORA,),
    Profile.STANDARD: (Method.LORA, Method.FULL),
    Profile.DEEP: (Method.LORA, Method.FULL),
}
STEPS = {
    Profile.QUICK: (0, 10, 40),
    Profile.STANDARD: (0, 5, 10, 20, 40, 80),
    Profile.DEEP: (0, 5, 10, 20, 40, 80, 160, 320),
}
RANKS = {Profile.QUICK: (16,), Profile.STANDARD: (16,), Profile.DEEP: (16, 128)}
SLOTS = {Profile.QUICK: 1, Profile.STANDARD: 3, Profile.DEEP: 3}
CANDIDATES = {
    Method.LORA: (1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
    Method.FULL: (1e-5, 3e-5, 1e-4, 3e-4, 1e-3),
}
QUICK_CANDIDATES = {Method.LORA: (3e-4, 1e-3, 3e-3, 1e-2), Method.FULL: (1e-5, 1e-4, 1e-3)}
DEFAULT_RATES = {
    Method.LORA: {1: (1e-3,), 3: (3e-4, 1e-3, 3e-3)},
    Method.FULL: {1: (1e-4,), 3: (3e-5, 1e-4, 3e-4)},
}


class RelearningParameters(api.Parameters):
    """What the adversary may spend. Whatever is None follows the profile."""

    methods: tuple[Method, ...] | None = Field(None, min_length=1, description="`lora`, `full`, or both.")
    steps: tuple[int, ...] | None = Field(None, min_length=1, description="Doses: optimizer steps, rising.")
    folds: int = Field(2, ge=2, description="Groups of subjects; each is scored once, by a model trained on the rest.")
    batch_size: PositiveInt = Field(16, description="Texts an optimizer step.")
    ranks: tuple[PositiveInt, ...] | None = Field(None, min_length=1, description="Ranks of the LoRA update.")
    learning_rates: dict[Method, tuple[PositiveFloat, ...]] = Field(
        default={}, description="Rates by method; a method without any has them chosen on the original's plant."
    )
    candidates: dict[Method, tuple[PositiveFloat, ...]] = Field(
        default={}, description="Rates to choose from, by method."
    )
    kept_share: float = Field(
        0.5, ge=0, le=1, description="A candidate rate that leaves less of the original's retain answers is out."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> RelearningParameters:
        for name in ("methods", "steps", "ranks"):
            values = getattr(self, name)
            if values is not None and len(set(values)) != len(values):
                raise ValueError(f"{name}: {values} names something twice")
        if self.steps is not None and (min(self.steps) < 0 or list(self.steps) != sorted(self.steps)):
            raise ValueError(f"steps: {self.steps} must be at least 0 and rise")
        for name, table in (("learning_rates", self.learning_rates), ("candidates", self.candidates)):
            for method, rates in table.items():
                if not rates or len(set(rates)) != len(rates):
                    raise ValueError(f"{name}: {method} needs one rate or more, each once: {rates}")
                if self.methods is not None and method not in self.methods:
                    raise ValueError(f"{name}: rates for {method}, which is not among methods {self.methods}")
        if self.ranks is not None and self.methods is not None and Method.LORA not in self.methods:
            raise ValueError("ranks: given, but lora is not among the methods")
        if both := set(self.learning_rates) & set(self.candidates):
            raise ValueError(f"{sorted(both)}: give learning_rates, or candidates to choose them from, not both")
        return self
