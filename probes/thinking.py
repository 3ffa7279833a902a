"""Thinking: asked with thinking switched on and off, does the model say the answer, aloud or on the way?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from unlearn_audit.api import Access, Fact, Measure, Model, Parameters, Probe, Profile, Prompt, Reading
from unlearn_audit.api.kit.answered import QuestionParameters, ask_all
from unlearn_audit.api.kit.asking import NO_QUESTION, Ask, is_askable, thought_closer
from unlearn_audit.api.kit.twins import Twins

from .shared.exposure import EXPOSURE, HIT, exposure_readings, hit_readings, prompted

SWITCH = {"thinking": True, "not-thinking": False}
NO_SWITCH = "the chat template cannot switch thinking"


class ThinkingParameters(QuestionParameters):
    """Parameters of `thinking`."""

    max_new_tokens: int = Field(1024, ge=1, description="Most tokens of an output, including its thoughts.")
    minimum_twins: int = Field(19, ge=1, description="Fewest other answers of the relation for a twin score.")


class Thinking(Probe[ThinkingParameters]):
    """The plain question with thinking on and off, for models whose chat template has the switch.

    - `hit`: greedy output against the answer key, including thoughts, because the user can read them. A reading for
      each way, advisory. An output that is cut off while thinking says nothing, and is missing.
    - `exposure`: 1 if either way elicits the answer; gates. Its twin score is the share of other subjects' answers that
      either output contains.

    The switch is the template variable `enable_thinking` (Qwen3, SmolLM3, GLM) or `thinking` (DeepSeek, Granite); a
    template has it if its prompt differs with it on and off. Where there is none and the template opens a thought,
    `not-thinking` begins the answer with the mark that closes it (ZeroThink, 2505.15214). Every other probe asks in the
    template's default way. If the template neither has a switch nor opens a thought, all facts are missing, with the
    reason.

    The marks of a thought are those of the current families (`api.kit.asking`), special tokens or not. Known failure: a
    model that marks its thoughts in another way, and ends in one by itself, is taken at its word.
    """

    name: ClassVar[str] = "thinking"
    summary: ClassVar[str] = "Asks with thinking switched on and off, and also reads the thoughts."
    paper: ClassVar[str] = ""
    access: ClassVar[Access] = Access.PROMPTS
    measures: ClassVar[tuple[Measure, ...]] = (EXPOSURE, HIT)
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
    Parameters: ClassVar[type[Parameters]] = ThinkingParameters

    def observe(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        """A hit for each way, and one exposure, of every fact."""
        own = self.parameters
        twins = Twins.shared(pool, rouge_threshold=own.rouge_threshold, judge=self.judge)
        switch = model.switches_thinking
        closer = "" if switch else thought_closer(model)
        asks = [_ask(fact, variant, switch, closer) for fact in facts for variant in SWITCH]
        answered = ask_all(model, asks, twins, own.max_new_tokens)
        yield from _explained(
            exposure_readings(facts, answered, twins, minimum_twins=own.minimum_twins), switch or bool(closer)
        )
        yield from hit_readings(asks, answered, twins, minimum_twins=own.minimum_twins)


def _ask(fact: Fact, variant: str, switch: bool, closer: str) -> Ask:
    if not is_askable(fact):
        return prompted(fact, variant, None, NO_QUESTION)
    if closer:
        begun = Prompt(text=fact.question or "", prefix="" if SWITCH[variant] else closer)
        return prompted(fact, variant, begun, None)
    prompt = Prompt(text=fact.question or "", thinking=SWITCH[variant])
    return prompted(fact, variant, prompt if switch else None, NO_SWITCH)


def _explained(readings: Iterator[Reading], switch: bool) -> Iterator[Reading]:
    """The readings, with the reason why there is none where the template has no switch."""
    return readings if switch else (replace(one, missing=NO_SWITCH) for one in readings)
