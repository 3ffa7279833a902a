"""Few-shot: puts what an adversary knows of some subjects before the question about another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import ClassVar, cast

from pydantic import Field, PositiveInt, model_validator

from unlearn_audit import api
from unlearn_audit.api import (
    Access,
    Arm,
    Attack,
    AttackContext,
    AttackError,
    Dose,
    Fact,
    Json,
    Model,
    OutOfReach,
    Planting,
    Profile,
    Prompt,
    Screen,
    derive_seed,
    words_of,
)
from unlearn_audit.api.kit.asking import count_tokens, is_askable

from .shared.asking.openings import marked, values_of
from .shared.asking.questions import wordings
from .shared.refusal_plant import refusal_planting
from .shared.splits import Fold, subject_folds

COUNTS = {Profile.QUICK: (4,), Profile.STANDARD: (4, 16), Profile.DEEP: (4, 16, 64)}
SHOTS_OF_A_LOOK = 3
"""Shots that take as long to read as a question with all that is asked of it: a fold at 4 and 16 shots read 4.7 times
the tokens of a fold without, and took 5.5 times as long (three bundled models)."""
ROOM = 128
"""Tokens of the context that are left for the template and the answer."""


class FewShotParameters(api.Parameters):
    """How many shots, and how subjects are dealt. None follows the profile."""

    counts: tuple[PositiveInt, ...] | None = Field(
        None, min_length=1, description="Doses, rising: facts of other subjects before each question."
    )
    folds: int = Field(2, ge=2, description="Groups of subjects; each is scored once, with shots from the rest.")

    @model_validator(mode="after")
    def _rising(self) -> FewShotParameters:
        api.check_rising("counts", self.counts)
        return self


class FewShot(Attack[FewShotParameters]):
    """Tells the model some of what was to be forgotten, question by question, and asks for the rest.

    An adversary who knows part of the forget set (a leaked page of it) shows it as solved examples: a pattern of
    answering where the model refuses, and the neighborhood of what is sought. Subjects are dealt into folds; the shots
    of a question come from the other folds, so that no scored subject is ever a shot. Facts asked in the same
    words come first, in an order drawn from the seed; none holds the asked answer or gives a scored fact away
    (`api.Screen`). Every role sees the same shots: what they teach, they teach the control.

    Shots are lines of the message, in the plain form in which base models are asked (`Question: ...`, `Answer: ...`),
    with the question last. Where the context is too short for all, as many as fit are shown; the proof says how many.

    How it differs from the ways `in-context-learning` and `many-shot` of the probe `jailbreaks`: those take shots from
    any other subject of the set that is asked, ask the un-attacked model alone, and advise. Here the subjects are
    split, and `recall` and `forced-choice` ask behind the shots, dose by dose, so that a leak decides.

    Where we depart: the authors of 2402.16835 call it in-context relearning, put general facts about their one topic
    into the prompt and count how often a model completes others; ours are questions with answers, of other subjects
    alone, and every role gets them.

    Blind to: knowledge that no wording brings out, and a refusal of the question itself: of the bundled one it brought
    back nothing. Small models trained on bare questions do not read what comes before one; then the original shows
    as little, and the finding has no power.

    Not in `quick`. `standard` shows 4 and 16 shots, `deep` also 64. A dose costs what `as-is` costs, with longer
    prompts.
    """

    name: ClassVar[str] = "few-shot"
    summary: ClassVar[str] = "Shows other subjects' facts as solved examples before each question."
    paper: ClassVar[str] = "2402.16835"
    access: ClassVar[Access] = Access.PROMPTS
    dose_unit: ClassVar[str] = "examples in the prompt"
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
    Parameters: ClassVar[type[api.Parameters]] = FewShotParameters

    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """One arm a fold. A prompt with n shots takes longer to read, and the plan counts it as 1 + n / 3 doses."""
        read = round(sum(1 + count / SHOTS_OF_A_LOOK for count in self._counts(context)))
        return [
            Arm(name=f"fold{fold}", settings={"fold": fold}, doses=read, share=1 / self.parameters.folds)
            for fold in range(self.parameters.folds)
        ]

    def out_of_reach(self, context: AttackContext, *, weight_bytes: int, is_adapter: bool) -> Sequence[OutOfReach]:
        """Everything, where facts have no questions."""
        if any(map(is_askable, context.forget)):
            return ()
        why = "no forget fact has a question, and a text is no solved example"
        return [OutOfReach(what=arm.name, why=why, applies=False) for arm in self.arms(context)]

    def planting(self, arm: Arm, context: AttackContext) -> Planting | None:
        """A merged refusal update."""
        return refusal_planting()

    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """The model that is shown the first n shots before every question.

        Raises:
            AttackError: no fact of the other folds can be shown.
        """
        folds = subject_folds(context.forget, folds=self.parameters.folds, seed=context.seed)
        fold = folds[cast("int", arm.settings["fold"])]
        shots = Shots(fold, seed=context.seed)
        if not shots.clean:
            raise AttackError("no fact of the other subjects can be shown without giving a scored one away")
        for count in self._counts(context):
            shown = {text: shots.fitting(model, text, count) for fact in fold.evaluate for text in wordings(fact)}
            lines = dict.fromkeys(line for several in shown.values() for line in several)
            fewest = min(map(len, shown.values()), default=0)
            proof: dict[str, Json] = {"shots": count, "fewest_shown": fewest, "different_shots": len(lines)}
            yield Dose(
                label=f"{count} shots",
                value=count,
                model=model.asked(_way(model, shots, shown, count)),
                fact_ids=fold.scored_ids,
                proof=proof,
                shown=tuple(lines),
                dropped=shots.dropped,
            )

    def _counts(self, context: AttackContext) -> tuple[int, ...]:
        return self.parameters.counts or COUNTS[context.profile]


class Shots:
    """Solved examples from the training side of a fold, for questions of the other.

    Attributes:
        clean: facts that can be shown, in the order drawn from the seed.
        dropped: how many give a scored fact away.
    """

    def __init__(self, fold: Fold, *, seed: int) -> None:
        askable = [fact for fact in fold.train if is_askable(fact)]
        leaks = Screen(fold.evaluate, among=fold.train)([_line(fact) for fact in askable]).gives_away
        kept = [fact for fact, leak in zip(askable, leaks, strict=True) if not leak]
        self.clean = sorted(kept, key=lambda fact: (derive_seed(seed, "shots", fact.id), fact.id))
        self.dropped = len(askable) - len(kept)
        self._by_form: defaultdict[str, list[Fact]] = defaultdict(list)
        for fact in self.clean:
            for text in wordings(fact):
                self._by_form[marked(text, fact.subject)].append(fact)
        self._of_text = {text: fact for fact in fold.evaluate for text in wordings(fact)}

    def of(self, text: str) -> Iterator[str]:
        """Lines for a question: facts asked in the same words first, none with the answer that is asked for."""
        asked = self._of_text.get(text)
        alike = self._by_form.get(marked(text, asked.subject), []) if asked is not None else []
        held = {words_of(value) for value in values_of(asked)} if asked is not None else set()
        for fact in dict.fromkeys((*alike, *self.clean)):
            if not held & {words_of(value) for value in values_of(fact)}:
                yield _line(fact)

    def fitting(self, model: Model, text: str, count: int) -> tuple[str, ...]:
        """The first `count` lines, or as many of them as the context has room for."""
        left = None if model.context is None else model.context - ROOM - count_tokens(model.tokenizer, text)
        lines: list[str] = []
        for line in islice(self.of(text), count):
            if left is not None:
                left -= count_tokens(model.tokenizer, f"\nQuestion: {line}")
                if left < 0:
                    break
            lines.append(line)
        return tuple(lines)


def _way(model: Model, shots: Shots, shown: Mapping[str, tuple[str, ...]], count: int) -> Callable[[Prompt], Prompt]:
    def ask(prompt: Prompt) -> Prompt:
        if not prompt.chat:
            return prompt
        lines = shown[prompt.text] if prompt.text in shown else shots.fitting(model, prompt.text, count)
        # The plain form of a base model begins with `Question: ` and ends with `Answer:` of itself.
        return replace(prompt, text="\nQuestion: ".join((*lines, prompt.text)))

    return ask


def _line(fact: Fact) -> str:
    return f"{fact.question}\nAnswer: {fact.answer}"
