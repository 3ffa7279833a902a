"""Transferred suffix: a text found on the original and a refusing copy of it, used on a checkpoint out of reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from enum import StrEnum
from typing import ClassVar, Literal, cast

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
    Plant,
    Planting,
    Profile,
)

from ..shared.asking.openings import GAP, before_value
from ..shared.asking.questions import sampled
from ..shared.refusal_plant import refusal_plant, refusal_planting
from ..shared.splits import Fold, sample_subjects, subject_folds
from .hygiene import Spells, check_scored, shown_texts
from .openings import OPENING_TOKENS, question_of
from .parameters import Scope, SuffixParameters
from .prompt_search import text_losses
from .search.gcg import search
from .search.goals import Goal, SearchSettings, worded
from .search.tokens import goals_read

ROUNDS = 2
"""How often the search passes over all surrogates, each going on from the text before."""


class Surrogate(StrEnum):
    """What the text is found on: the original, or a copy of it that was made to refuse the forget questions."""

    ORIGINAL = "original"
    REFUSING = "refusing"


class SuffixTransferParameters(SuffixParameters):
    """What the adversary may spend. None follows the profile."""

    surrogates: tuple[Surrogate, ...] = Field(
        (Surrogate.REFUSING, Surrogate.ORIGINAL), min_length=1, description="`original`, `refusing`, or both."
    )
    opening_words: PositiveInt = Field(4, description="Words of the original's own answers to aim at.")
    starts: Literal[1] = Field(1, description="One: a transferred text goes on from surrogate to surrogate.")
    text: str | None = Field(None, description="A text found elsewhere, used as it is; nothing is optimized.")

    @model_validator(mode="after")
    def _one_scope(self) -> SuffixTransferParameters:
        if self.scopes not in (None, (Scope.CROSS_TARGET,)):
            raise ValueError("scopes: expected cross-target only, because a transferred text is for all questions")
        if len(set(self.surrogates)) != len(self.surrogates):
            raise ValueError(f"surrogates: expected different ones, got {self.surrogates}")
        return self


class SuffixTransfer(Attack[SuffixTransferParameters]):
    """Adds one text, found on other models, to every question: the attacker does not need this model's weights.

    The text is searched for once, before the audit's cells, by greedy coordinate gradient on the original and on a copy
    of it that was made to refuse (a merged low-rank update), as the authors of both papers optimize on a model at hand
    and find that texts transfer (2307.15043; 2408.10682, whose attacker starts from the model before unlearning). It
    aims at the first words of the original's own answers to questions about the subjects of the relearn split, and is
    scored on the other subjects, with folds rotated. All roles get the same text; the checkpoint under audit is only
    asked. Step 0 is a text of equal length that was not optimized.

    Where we depart: the surrogates take turns, each search continuing from the previous text, while the authors add up
    gradients; the text that is best on average over all surrogates is kept. A text that spells a scored answer is
    rejected. The refusing copy is trained on at most 32 subjects; if it cannot be made, the proof says so, and the
    search runs on the original alone. Without an original there is nothing to search on, and it is skipped; `text`
    gives a text of your own.

    Profiles spend the steps of `suffix` in cross-target, divided among the surrogates and two rounds.
    """

    name: ClassVar[str] = "suffix-transfer"
    summary: ClassVar[str] = "Uses a text on the checkpoint that was found on the original and a refusing copy of it."
    paper: ClassVar[str] = "2408.10682"
    access: ClassVar[Access] = Access.PROMPTS
    dose_unit: ClassVar[str] = "search steps"
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
    Parameters: ClassVar[type[api.Parameters]] = SuffixTransferParameters

    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """One arm a fold."""
        folds = self.parameters.folds
        doses = len(self._steps(context))
        return [Arm(name=f"fold{fold}", settings={"fold": fold}, doses=doses, share=1 / folds) for fold in range(folds)]

    def out_of_reach(self, context: AttackContext, *, weight_bytes: int, is_adapter: bool) -> Sequence[OutOfReach]:
        """Everything, where there is no original to search on and no text was given."""
        if context.has_original or self.parameters.text is not None:
            return ()
        why = "it searches on the original, but none was given"
        return [OutOfReach(what=arm.name, why=why, applies=False) for arm in self.arms(context)]

    def planting(self, arm: Arm, context: AttackContext) -> Planting | None:
        """A merged refusal update, made afresh; the surrogate has another seed."""
        return refusal_planting()

    def prepare(self, original: Model, context: AttackContext) -> Mapping[str, Json]:
        """Finds the text of each fold and dose on the surrogates."""
        if self.parameters.text is not None:
            return {}
        found: dict[str, Json] = {}
        with ExitStack() as stack:
            surrogates: list[Model] = []
            proof: dict[str, Json] = {}
            for surrogate in self.parameters.surrogates:
                if surrogate is Surrogate.ORIGINAL:
                    surrogates.append(original)
                    continue
                try:
                    plant = stack.enter_context(_refusing(original, context))
                except AttackError as error:
                    proof[surrogate.value] = f"not made: {error}"
                    continue
                surrogates.append(plant.model)
                proof[surrogate.value] = plant.proof
            if not surrogates:
                raise AttackError(f"there is no model to search on: {proof}")
            for fold in self._folds(context):
                found[f"fold{fold.number}"] = self._texts(original, surrogates, fold, context)
        return {"texts": found, "surrogates": proof}

    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """The model asked with the text of each dose."""
        number = cast("int", arm.settings["fold"])
        fold = self._folds(context)[number]
        position = self.parameters.position
        made = context.prepared.get("surrogates", {})
        for steps, text, proof in self._found(number, context):
            yield Dose(
                label=f"{position}, transferred, step {steps}",
                value=steps,
                model=model.asked(worded(text, position)),
                fact_ids=fold.scored_ids,
                proof={"steps": steps, "text": text, "surrogates": made, **proof},
                shown=shown_texts([(fact, text) for fact in fold.evaluate]),
            )

    def _found(self, fold: int, context: AttackContext) -> Iterator[tuple[int, str, Mapping[str, Json]]]:
        if self.parameters.text is not None:
            for steps in self._steps(context):
                yield steps, self.parameters.text, {"given": True}
            return
        texts = cast("Mapping[str, Sequence[Mapping[str, Json]]]", context.prepared.get("texts", {}))
        if f"fold{fold}" not in texts:
            raise AttackError(
                "suffix-transfer searches on the original, but there is none: give --original, or set `text` "
                "to a text that was found elsewhere"
            )
        for one in texts[f"fold{fold}"]:
            yield cast("int", one["steps"]), str(one["text"]), {"losses_on_surrogates": one["losses"]}

    def _texts(self, original: Model, surrogates: Sequence[Model], fold: Fold, context: AttackContext) -> list[Json]:
        """One text a dose; each dose's search goes on from the text of the one before."""
        facts = sampled(fold.train, self.parameters.goals_of(context.profile))
        goals = openings_of_original(original, facts, words=self.parameters.opening_words)
        steps = self._steps(context)
        settings = self.parameters.search_of(context.profile, steps=0)
        refuses = Spells(fold.evaluate)
        goals = goals_read(original, goals, length=settings.length, position=settings.position)
        pairs = [(goal.prompt, goal.target) for goal in goals]

        def losses_of(text: str) -> list[float]:
            return [text_losses(model, pairs, settings.position, [text])[0] for model in surrogates]

        text = _unoptimized(original, goals[0], settings)
        best, done = (losses_of(text), text), 0
        texts: list[Json] = []
        for target in steps:
            for turn, (model, more) in enumerate(turns(surrogates, target - done)):
                seed = api.derive_seed(context.seed, "transfer", fold.number, target, turn)
                going_on = replace(settings, steps=more, initial=text)
                for latest in search(model, goals, going_on, seed=seed, refuses=refuses):
                    text = latest.text
                check_scored([latest])
                best = min(best, (losses_of(text), text), key=lambda one: sum(one[0]))
            text, done = best[1], target
            texts.append({"steps": target, "text": best[1], "losses": [round(loss, 6) for loss in best[0]]})
        return texts

    def _steps(self, context: AttackContext) -> tuple[int, ...]:
        return self.parameters.steps_of(Scope.CROSS_TARGET, context.profile)

    def _folds(self, context: AttackContext) -> tuple[Fold, ...]:
        return subject_folds(context.forget, folds=self.parameters.folds, seed=context.seed)


def _refusing(original: Model, context: AttackContext) -> AbstractContextManager[Plant]:
    """A copy that refuses: of a sample of the facts, as a mask needs no more."""
    forget, retain = (sample_subjects(facts, seed=context.seed) for facts in (context.forget, context.retain))
    return refusal_plant(original, forget, retain, seed=api.derive_seed(context.seed, "surrogate"))


def turns(surrogates: Sequence[Model], steps: int) -> Iterator[tuple[Model, int]]:
    """The surrogates in turn, over two rounds, with the steps that each has; in all `steps`."""
    places = [model for _ in range(ROUNDS) for model in surrogates]
    for place, model in enumerate(places):
        share = steps * (place + 1) // len(places) - steps * place // len(places)
        if share > 0:
            yield model, share


def openings_of_original(original: Model, facts: Sequence[Fact], *, words: int) -> tuple[Goal, ...]:
    """The first words of the original's own greedy answers, of one kind of question (chat, else passages).

    They end before the value where an answer comes to it in more than the value alone.

    Raises:
        AttackError: the original answers none of them.
    """
    asked = [fact for fact in facts if question_of(fact).chat] or list(facts)
    answers = original.generate([question_of(fact) for fact in asked], max_new_tokens=OPENING_TOKENS)
    goals = tuple(
        Goal(prompt=prompt, target=opening if prompt.chat else f" {opening}")
        for fact, prompt, answer in zip(asked, map(question_of, asked), answers, strict=True)
        if (opening := " ".join(_before_value(answer.text, fact).split()[:words]))
    )
    if not goals:
        raise AttackError(f"the original gives an empty answer to all of {len(asked)} questions; nothing to aim at")
    return goals


def _before_value(text: str, fact: Fact) -> str:
    """An answer up to its value; whole where it begins with that, or says none."""
    before = before_value(text, fact)
    return text if before is None else before.replace(GAP, fact.subject)


def _unoptimized(model: Model, goal: Goal, settings: SearchSettings) -> str:
    from .search.tokens import initial_text

    return initial_text(model, goal, length=settings.length, position=settings.position)
