"""The artefacts that are served, as they are: files of the checkpoint in the form in which users meet it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from unlearn_audit.api import Access, Arm, Attack, AttackContext, Dose, Model, Parameters


class NoParameters(Parameters):
    """Nothing to choose."""


class Served(Attack[NoParameters]):
    """What is served, audited itself (`--served`): a GGUF file, a directory in codes of bitsandbytes, GPTQ, AWQ or FP8.

    The other attack on formats, `quantization`, rounds the checkpoint itself, and may round otherwise than the tool
    that made the file (K-quants, an importance matrix, a calibration). Here the file is loaded as the weights that its
    codes stand for, in the checkpoint's place, and meets every probe. The original and the controls stand as they are:
    what counts is what a user gets. One arm and one dose for each file, named after it. No adversary does anything, so
    that power is what the original shows, as under `as-is`.
    """

    name: ClassVar[str] = "served"
    summary: ClassVar[str] = "The files that are served, given with --served, in the checkpoint's place."
    paper: ClassVar[str] = ""
    access: ClassVar[Access] = Access.PROMPTS
    served: ClassVar[bool] = True
    of_artifacts: ClassVar[bool] = True
    Parameters: ClassVar[type[Parameters]] = NoParameters

    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """One for each artefact."""
        return tuple(Arm(name=name) for name in context.served)

    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """The model that was handed in: in the checkpoint's role, the artefact."""
        yield Dose(label=arm.name, value=None, model=model)
