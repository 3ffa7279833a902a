"""Ablation: projects the direction along which a model withholds out of its residual stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
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
    OutOfReach,
    Planting,
    Profile,
    Prompt,
)

from .shared.asking.questions import questions_of
from .shared.refusal_plant import refusal_planting

if TYPE_CHECKING:
    import torch

    from .shared.residual_stream import Stream

DEPTHS = {Profile.QUICK: (0.5,), Profile.STANDARD: (0.25, 0.5, 0.75), Profile.DEEP: (0.2, 0.35, 0.5, 0.65, 0.8)}
PROOF_PROMPTS = 8
LEFT = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""Largest |cosine| with an ablated direction that rounding may leave, by type of the weights."""


class Direction(StrEnum):
    """Which difference a direction is: forget minus retain questions, or a role minus the original."""

    REFUSAL = "refusal"
    ORIGINAL = "original"


class AblationParameters(api.Parameters):
    """Which directions, and from where. None follows the profile."""

    directions: tuple[Direction, ...] = Field(
        tuple(Direction), min_length=1, description="`refusal` (forget minus retain), `original` (role minus original)."
    )
    depths: tuple[float, ...] | None = Field(
        None, min_length=1, description="Doses of `refusal`: where the direction is taken, in shares of the depth."
    )
    questions: PositiveInt = Field(128, description="Most questions of each set that enter a mean.")


class Ablation(Attack[AblationParameters]):
    """Removes a direction of the residual stream at every position; uses questions, never answers.

    Arm `refusal` (2406.11717): the mean state at the last prompt token over the forget questions minus that over the
    retain questions, taken at one depth, and projected out of each block's input and output and out of what attention
    and MLP add. Arm `original` (2409.18025): mean state of the model under attack minus that of the original on the
    same forget questions, a direction for each block, projected out of that block's output.

    Where we depart: the authors of the first choose layer and token position by refusals on a validation set. We choose
    nothing: a few depths are doses of their own, because a choice on the audited checkpoint would favor it in a way
    that its control does not share. Those of the second take the mean over all tokens of questions that the original
    answers and the unlearned model does not, which uses answers; ours is over the last prompt token of all
    questions. Questions about the scored subjects are included in the means: anyone who asks for a fact knows the
    question. Depths that come to the same block of a shallow model are one dose.

    In the second arm the original itself has no direction; it is measured as it is, and the proof says so. Without an
    original that arm is skipped. `quick` takes `refusal` at half depth, `standard` at a quarter, a half
    and three quarters, `deep` at five depths; each adds one dose of `original`.
    """

    name: ClassVar[str] = "ablation"
    summary: ClassVar[str] = "Removes the refusal direction, or the shift from the original, from hidden states."
    paper: ClassVar[str] = "2406.11717"
    access: ClassVar[Access] = Access.WEIGHTS
    dose_unit: ClassVar[str] = "depth, share of the layers"
    Parameters: ClassVar[type[api.Parameters]] = AblationParameters

    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """One arm a direction."""
        doses = {Direction.REFUSAL: len(self._depths(context)), Direction.ORIGINAL: 1}
        wanted = [direction for direction in Direction if direction in self.parameters.directions]
        return [Arm(name=each.value, settings={"direction": each.value}, doses=doses[each]) for each in wanted]

    def out_of_reach(self, context: AttackContext, *, weight_bytes: int, is_adapter: bool) -> Sequence[OutOfReach]:
        """A direction for which the retain set or the original is missing."""
        gaps = []
        if not context.retain and Direction.REFUSAL in self.parameters.directions:
            gaps.append((Direction.REFUSAL, "it needs retain facts to take a difference with; none were given"))
        if not context.has_original and Direction.ORIGINAL in self.parameters.directions:
            gaps.append((Direction.ORIGINAL, "it needs an original to take a difference with; none was given"))
        return [OutOfReach(what=direction.value, why=why, applies=False) for direction, why in gaps]

    def sparingly(self, profile: Profile) -> Ablation:
        """Both directions, that of refusal at half depth."""
        return Ablation(AblationParameters(depths=DEPTHS[Profile.QUICK]))

    def planting(self, arm: Arm, context: AttackContext) -> Planting | None:
        """A merged refusal update, the same for both arms."""
        return refusal_planting()

    def prepare(self, original: Model, context: AttackContext) -> Mapping[str, Json]:
        """The original's mean states on the forget questions, behind every block."""
        if Direction.ORIGINAL not in self.parameters.directions:
            return {}
        from .shared.residual_stream import residual_stream

        with original.fork() as fork:
            means = _means(fork, residual_stream(fork), self._questions(context.forget))
        return {"means": means.tolist()}

    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """The model without a direction."""
        if Direction(str(arm.settings["direction"])) is Direction.REFUSAL:
            yield from self._without_refusal(model, context)
        else:
            yield self._without_way_from_original(model, context)

    def _without_refusal(self, model: Model, context: AttackContext) -> Iterator[Dose]:
        from .shared.residual_stream import ablate_everywhere, mean_states, residual_stream, unit

        forget, retain = self._questions(context.forget), self._questions(context.retain)
        if not retain:
            raise AttackError("the refusal direction needs retain facts to take a difference with; give --retain")
        taken = set[int]()
        for depth in self._depths(context):
            with model.fork() as fork:
                stream = residual_stream(fork)
                layer = stream.layer_at(depth)
                if layer in taken:
                    continue
                taken.add(layer)
                asked = mean_states(fork, stream, forget, [layer])[0]
                kept = mean_states(fork, stream, retain, [layer])[0]
                direction = unit(asked - kept, beside=kept)
                proof: dict[str, Json] = {"layer": layer, "blocks": len(stream.blocks), "questions": len(forget)}
                if direction is None:
                    proof["ablated"] = "nothing: both sets have the same mean state"
                else:
                    ablate_everywhere(stream, direction)
                    each = dict.fromkeys(range(len(stream.blocks)), direction)
                    proof |= _proof(fork, stream, forget, each, [float((asked - kept).norm() / kept.norm())])
                yield Dose(label=f"refusal depth {depth:g}", value=depth, model=fork, proof=proof)

    def _without_way_from_original(self, model: Model, context: AttackContext) -> Dose:
        import torch

        from .shared.residual_stream import ablate_outputs, residual_stream, unit

        label = "away from the original, every block"
        known = cast("Sequence[Sequence[float]] | None", context.prepared.get("means"))
        if known is None:
            proof: Mapping[str, Json] = {"ablated": "nothing: the audit has no original"}
            return Dose(label=label, value=1.0, model=model, proof=proof)
        questions = self._questions(context.forget)
        with model.fork() as fork:
            stream = residual_stream(fork)
            means, original = _means(fork, stream, questions), torch.tensor(known)
            if means.shape != original.shape:
                raise AttackError(
                    f"the original has states of shape {tuple(original.shape)} where this model has "
                    f"{tuple(means.shape)}; the arm `original` needs one architecture: set directions to [refusal]"
                )
            ways = [unit(way, beside=before) for way, before in zip(means - original, original, strict=True)]
            directions = {place: way for place, way in enumerate(ways) if way is not None}
            if not directions:
                proof = {"ablated": "nothing: the model's states are the original's"}
                return Dose(label=label, value=1.0, model=model, proof=proof)
            ablate_outputs(stream, directions)
            sizes = ((means - original).norm(dim=1) / original.norm(dim=1)).tolist()
            proof = {"questions": len(questions), **_proof(fork, stream, questions, directions, sizes)}
            return Dose(label=label, value=1.0, model=fork, proof=proof)

    def _questions(self, facts: Sequence[api.Fact]) -> tuple[Prompt, ...]:
        return questions_of(facts, most=self.parameters.questions)

    def _depths(self, context: AttackContext) -> tuple[float, ...]:
        return self.parameters.depths or DEPTHS[context.profile]


def _means(fork: Model, stream: Stream, questions: Sequence[Prompt]) -> torch.Tensor:
    """Mean states behind every block: shape (blocks, width)."""
    import torch

    from .shared.residual_stream import mean_last_output, mean_states

    last = mean_last_output(fork, stream, questions)[None]
    if len(stream.blocks) == 1:
        return last
    return torch.cat((mean_states(fork, stream, questions, range(1, len(stream.blocks))), last))


def _proof(
    fork: Model,
    stream: Stream,
    questions: Sequence[Prompt],
    directions: Mapping[int, torch.Tensor],
    sizes: Sequence[float],
) -> dict[str, Json]:
    """What is left of the directions behind their blocks, and how long they were relative to the states.

    Raises:
        AttackError: more is left than rounding leaves.
    """
    from .shared.residual_stream import largest_component

    left = largest_component(fork, stream, questions[:PROOF_PROMPTS], directions)
    dtype = next(str(weight.dtype) for weight in fork.module.parameters() if weight.is_floating_point())
    if not left <= LEFT.get(dtype.removeprefix("torch."), max(LEFT.values())):
        raise AttackError(f"a direction was to be ablated, and a cosine of {left:.2g} is left behind a block")
    return {
        "ablated_blocks": len(directions),
        "largest_cosine_left": left,
        "relative_lengths": [round(size, 6) for size in sizes],
    }
