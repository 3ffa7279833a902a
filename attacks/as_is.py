"""No attack: the model as it is, the baseline that every other attack is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from unlearn_audit.api import Access, Arm, Attack, AttackContext, Dose, Model, Parameters


class NoParameters(Parameters):
    """Nothing to choose."""


class AsIs(Attack[NoParameters]):
    """The unattacked model. Treated as an attack, so that the baseline has the same controls and bounds."""

    name: ClassVar[str] = "as-is"
    summary: ClassVar[str] = "The model as it is: what a user gets by simply asking."
    paper: ClassVar[str] = ""
    access: ClassVar[Access] = Access.PROMPTS
    baseline: ClassVar[bool] = True
    Parameters: ClassVar[type[Parameters]] = NoParameters

    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """One arm."""
        return (Arm(name="as-is"),)

    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """One dose, 0: the model that was handed in, itself."""
        yield Dose(label="none", value=0.0, model=model)
