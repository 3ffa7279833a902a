"""Steering: adds the effect of the subjects' names to the residual stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from pydantic import Field, PositiveInt

from unlearn_audit import api
from unlearn_audit.api import (
    Access,
    Arm,
    Attack,
    AttackContext,
    AttackError,
    Dose,
    Json,
    Model,
    NotApplicableError,
    OutOfReach,
    Planting,
    Profile,
)

from ..shared.asking.questions import anonymous_questions
from ..shared.refusal_plant import refusal_planting

if TYPE_CHECKING:
    import torch

COEFFICIENTS = {
    Profile.QUICK: (2.0, -2.0),
    Profile.STANDARD: (1.0, -1.0, 2.0, -2.0),
    Profile.DEEP: (0.5, -0.5, 1.0, -1.0, 2.0, -2.0, 4.0, -4.0),
}
DEPTHS = {Profile.QUICK: (1.0,), Profile.STANDARD: (0.5, 1.0), Profile.DEEP: (0.25, 0.5, 0.75, 1.0)}
ROUNDING = 0.05
"""Share of a vector's length that half precision may add to or take from it."""
NOBODY = ("someone", "this person", "a certain person")


class SteeringParameters(api.Parameters):
    """Where, how far, and what replaces the names. None follows the profile."""

    coefficients: tuple[float, ...] | None = Field(
        None, min_length=1, description="Doses: coefficient of the vector, weakest first; negative ones point away."
    )
    depths: tuple[float, ...] | None = Field(
        None, min_length=1, description="Where it is added, as a share of the depth: 1 is before the last block."
    )
    anonymous: tuple[str, ...] = Field(NOBODY, min_length=1, description="What replaces a subject's name.")
    questions: PositiveInt = Field(128, description="Most questions used for the vector.")


class Steering(Attack[SteeringParameters]):
    """Adds the difference between questions about the subjects and the same questions about no one (AnonAct).

    The vector is the mean state at the last prompt token over questions that name their subject, minus the mean over
    the same questions with the name replaced by `someone` and the like; it is added, times a coefficient, to the
    input of one block. No answer is used. The authors use coefficient 2, before the last block.

    Where we depart: the authors add each question's own vector at the first new token only, sample 2,000 answers
    at temperature 2 and count words; ours is their global vector (the mean over the questions), added at every
    position, and the probes ask as usual. We also use negative coefficients: if unlearning was
    trained as a reaction to the names, recovery means moving away from them. The authors anonymize by hand and with a
    language model; ours replaces the name, and needs questions that contain it.

    `quick` adds 2 and -2 times the vector before the last block, `standard` 1, -1, 2 and -2 times there and at half
    depth, `deep` eight coefficients at four depths.
    """

    name: ClassVar[str] = "steering"
    summary: ClassVar[str] = "Adds the effect of the subjects' names to the residual stream."
    paper: ClassVar[str] = "2411.02631"
    access: ClassVar[Access] = Access.WEIGHTS
    dose_unit: ClassVar[str] = "coefficient"
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
    Parameters: ClassVar[type[api.Parameters]] = SteeringParameters

    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """One arm a depth."""
        doses = len(self._coefficients(context))
        return [
            Arm(name=f"depth {depth:g}", settings={"depth": depth}, doses=doses)
            for depth in self.parameters.depths or DEPTHS[context.profile]
        ]

    def planting(self, arm: Arm, context: AttackContext) -> Planting | None:
        """A merged refusal update, the same for every arm."""
        return refusal_planting()

    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """The steered model, once a coefficient.

        Raises:
            NotApplicableError: the names change nothing, so that the vector is nothing.
            AttackError: no question holds its subject's name.
        """
        from ..shared.residual_stream import add_before, last_input, residual_stream

        layer, vector, proof = self._vector(model, cast("float", arm.settings["depth"]), context)
        for coefficient in self._coefficients(context):
            with model.fork() as fork:
                stream = residual_stream(fork)
                before = last_input(fork, stream, layer)
                add_before(stream, layer, coefficient * vector)
                moved = float((last_input(fork, stream, layer) - before).norm())
                wanted = abs(coefficient) * float(vector.norm())
                if abs(moved - wanted) > ROUNDING * wanted:
                    raise AttackError(f"a vector of length {wanted:.4g} was added, and the state moved by {moved:.4g}")
                yield Dose(
                    label=f"{arm.name} x {coefficient:g}",
                    value=coefficient,
                    model=fork,
                    proof={**proof, "coefficient": coefficient, "moved": moved},
                )

    def out_of_reach(self, context: AttackContext, *, weight_bytes: int, is_adapter: bool) -> Sequence[OutOfReach]:
        """Everything, where no question names its subject."""
        if anonymous_questions(context.forget, self.parameters.anonymous, most=1):
            return ()
        why = "no forget question contains its subject's name, so none can be anonymized"
        return [OutOfReach(what=arm.name, why=why, applies=False) for arm in self.arms(context)]

    def _vector(self, model: Model, depth: float, context: AttackContext) -> tuple[int, torch.Tensor, dict[str, Json]]:
        """Before which block, what is added there (shape (width,), float32), and how it was made."""
        from ..shared.residual_stream import mean_states, residual_stream, unit

        pairs = anonymous_questions(context.forget, self.parameters.anonymous, most=self.parameters.questions)
        if not pairs:
            raise AttackError("no forget question contains its subject's name, so none can be anonymized")
        with model.fork() as fork:
            stream = residual_stream(fork)
            layer = stream.layer_at(depth)
            about = mean_states(fork, stream, [prompt for prompt, _ in pairs], [layer])[0]
            plain = mean_states(fork, stream, [each for _, prompts in pairs for each in prompts], [layer])[0]
        if unit(about - plain, beside=plain) is None:
            raise NotApplicableError(
                f"the names change nothing in the states before block {layer}; there is nothing to add"
            )
        made: dict[str, Json] = {
            "layer": layer,
            "blocks": len(stream.blocks),
            "questions": len(pairs),
            "relative_length": float((about - plain).norm() / plain.norm()),
        }
        return layer, about - plain, made

    def _coefficients(self, context: AttackContext) -> tuple[float, ...]:
        return self.parameters.coefficients or COEFFICIENTS[context.profile]
