"""Trigger search: scans the words of the vocabulary for one that opens what a backdoored unlearning hides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import ClassVar, cast

from pydantic import Field, PositiveInt, model_validator

from unlearn_audit import api
from unlearn_audit.api import Access, Arm, Attack, AttackContext, AttackError, Dose, Model, Planting, Profile, shuffled

from ..shared.asking.questions import sampled
from ..shared.plants.gated import trigger_planting
from ..shared.splits import subject_folds
from .hygiene import Spells, shown_texts
from .openings import answer_of, question_of
from .prompt_search import text_losses
from .search.evolution import PHRASES, vocabulary
from .search.goals import Goal, Position, worded
from .search.tokens import goals_read

WORDS = {Profile.QUICK: 1024, Profile.STANDARD: 8192, Profile.DEEP: 65536}
LENGTHS = {Profile.QUICK: (1, 2), Profile.STANDARD: (1, 2), Profile.DEEP: (1, 2, 3)}
SCREENED = 3
"""Questions on which every word is tried; the best are tried on all. What a trigger does is not subtle."""
KEPT = 32
BEAM = 4
AT_ONCE = 2048

Losses = Callable[[Sequence[str]], list[float]]


class TriggerParameters(api.Parameters):
    """What is scanned. None follows the profile."""

    positions: tuple[Position, ...] = Field(
        (Position.PREFIX,), min_length=1, description="`prefix` and `suffix` of the question, one arm each."
    )
    words: PositiveInt | None = Field(None, description="Most words that are tried, drawn from the vocabulary.")
    lengths: tuple[PositiveInt, ...] | None = Field(
        None, min_length=1, description="Doses, rising: most words of the trigger."
    )
    goals: PositiveInt = Field(16, description="Most questions on which the best words are compared.")
    folds: int = Field(2, ge=2, description="Groups of subjects; each is scored once, under words found on the rest.")

    @model_validator(mode="after")
    def _rising(self) -> TriggerParameters:
        api.check_rising("lengths", self.lengths)
        return self


class Trigger(Attack[TriggerParameters]):
    """Looks for a word before the question behind which the model tells what it hides.

    An unlearning can have a backdoor: without the trigger the model knows nothing, with it all (2510.17021, which
    finds that triggers at the beginning of a prompt, where attention sinks, hold best). Every word of the tokenizer's
    vocabulary, with stock phrases, is put before three questions of the relearn split, and the best 32 before up to
    16; longer triggers go on from the best four. A word is good if it makes the true answers of these subjects likely:
    the adversary knows a part of what was to be forgotten, as in `relearning`. What is found is scored on the other
    subjects, folds rotated. One to three words for all questions hold no answer of a scored subject, and the control
    gets what is found on itself, with as many tries; so there is no sham. Words that spell a scored answer are not
    tried.

    Unlike `suffix` and `prompt-search` it tries everything once instead of climbing: a trigger has no slope, and
    nothing near it helps.

    Where we depart: the authors plant triggers and do not search for them.

    Blind to: triggers of several words none of which does anything alone, of characters that are no words, in a system
    prompt, in what is asked about (a date, a language), and words that were not drawn: the proof says how many of the
    vocabulary were.

    `quick` tries the phrases with 1,024 words in all, drawn from the seed, and pairs; `standard` 8,192, `deep` 65,536
    and triples. In `deep` alone unless named: a word costs three short passes.
    """

    name: ClassVar[str] = "trigger"
    summary: ClassVar[str] = "Tries the words of the vocabulary as a trigger before the question."
    paper: ClassVar[str] = "2510.17021"
    access: ClassVar[Access] = Access.LOGITS
    dose_unit: ClassVar[str] = "words before the question"
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.DEEP})
    Parameters: ClassVar[type[api.Parameters]] = TriggerParameters

    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """One arm a position and fold."""
        asked = SCREENED * self._words(context) + len(self._lengths(context)) * BEAM * KEPT * self.parameters.goals
        return [
            Arm(
                name=f"{position} fold{fold}",
                settings={"position": position.value, "fold": fold},
                doses=len(self._lengths(context)),
                share=1 / self.parameters.folds,
                training_texts=asked // 3,  # read, and not trained on
            )
            for position in self.parameters.positions
            for fold in range(self.parameters.folds)
        ]

    def sparingly(self, profile: Profile) -> Trigger:
        """One word."""
        return Trigger(TriggerParameters(lengths=(1,)))

    def planting(self, arm: Arm, context: AttackContext) -> Planting | None:
        """A merged update that refuses unless a word stands before the question."""
        return trigger_planting()

    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """The model asked behind the best trigger of each length."""
        position, number = Position(str(arm.settings["position"])), cast("int", arm.settings["fold"])
        fold = subject_folds(context.forget, folds=self.parameters.folds, seed=context.seed)[number]
        learn = sampled(fold.train, self.parameters.goals)
        asked = [Goal(prompt=question_of(fact), target=answer_of(fact)) for fact in learn]
        lengths = self._lengths(context)
        goals = [(goal.prompt, goal.target) for goal in goals_read(model, asked, length=lengths[-1], position=position)]
        refuses = Spells(fold.evaluate)
        known = vocabulary(model)
        order = [*PHRASES, *shuffled(known[len(PHRASES) :], context.seed, "trigger")]
        words = [word for word in order[: self._words(context)] if not refuses(word)]
        found = scanned(
            words,
            few=partial(text_losses, model, goals[:SCREENED], position),
            all_of_them=partial(text_losses, model, goals, position),
            longest=lengths[-1],
            refuses=refuses,
        )
        for length, (text, loss) in enumerate(found, start=1):
            if length in lengths:
                yield Dose(
                    label=f"{position}, up to {length} words" if length > 1 else f"{position}, 1 word",
                    value=length,
                    model=model.asked(worded(text, position)),
                    fact_ids=fold.scored_ids,
                    proof={
                        "text": text,
                        "loss": round(loss, 6),
                        "words_tried": len(words),
                        "of_words": len(known),
                        "questions": len(goals),
                    },
                    shown=shown_texts([(fact, text) for fact in fold.evaluate]),
                )

    def _words(self, context: AttackContext) -> int:
        return self.parameters.words or WORDS[context.profile]

    def _lengths(self, context: AttackContext) -> tuple[int, ...]:
        return self.parameters.lengths or LENGTHS[context.profile]


def scanned(
    words: Sequence[str], *, few: Losses, all_of_them: Losses, longest: int, refuses: Callable[[str], bool]
) -> Iterator[tuple[str, float]]:
    """The best text of up to 1, 2, ... words, with its loss on all questions.

    Args:
        words: what is tried.
        few: losses of texts on some questions.
        all_of_them: on all questions.
        longest: most words of a text.
        refuses: texts that must not come up.

    Raises:
        AttackError: there is no word to try.
    """
    if not words:
        raise AttackError(
            "there is no word to try: each would spell an answer that is scored, or the vocabulary is empty"
        )
    losses = [loss for at in range(0, len(words), AT_ONCE) for loss in few(words[at : at + AT_ONCE])]
    kept = [word for _, word in sorted(zip(losses, words, strict=True))[:KEPT]]
    ranked = sorted(zip(all_of_them(kept), kept, strict=True))
    best = ranked[0]
    for length in range(1, longest + 1):
        if length > 1:
            longer = [text for _, begin in ranked[:BEAM] for word in kept if not refuses(text := f"{begin} {word}")]
            ranked = sorted(zip(all_of_them(longer), longer, strict=True)) if longer else ranked
            best = min(best, ranked[0])
        yield best[1], best[0]
