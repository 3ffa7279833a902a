"""Adversarial suffix: a text after every question, found by gradient, that makes a model answer (answer-free)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import ClassVar, Generic, TypeVar, cast

from unlearn_audit import api
from unlearn_audit.api import (
    Access,
    Arm,
    Attack,
    AttackContext,
    AuditError,
    Dose,
    Fact,
    Json,
    Model,
    OutOfReach,
    Planting,
    Profile,
)

from ..shared.refusal_plant import refusal_planting
from .hygiene import Spells, check_scored, shown_texts
from .parameters import OpeningParameters, Scope, SuffixParameters
from .scopes import Quest, Texts, quests_of, readable, scored_in, search_seed, searched, text_of_fact, way_of
from .search.goals import SearchSettings

P = TypeVar("P", bound=SuffixParameters)

TEXTS_IN_PROOF = 4
"""So many texts stand in the proof; of more, only their number and losses."""


class GradientSuffix(Attack[P], Generic[P]):
    """What the suffix attacks on the model under audit share: scopes, doses, hygiene. They differ in their targets."""

    access: ClassVar[Access] = Access.WEIGHTS
    dose_unit: ClassVar[str] = "search steps"
    seeded: ClassVar[bool] = True

    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """One arm a scope; one a fold for cross-target."""
        return [arm for scope in self.parameters.scopes_of(context.profile) for arm in self._arms_of(scope, context)]

    def out_of_reach(self, context: AttackContext, *, weight_bytes: int, is_adapter: bool) -> Sequence[OutOfReach]:
        """Scopes that have no question to search on."""
        if self.parameters.scopes is not None:
            return ()
        return [
            OutOfReach(what=str(scope), why="no subject has two facts or more", applies=False)
            for scope in self.parameters.scopes_of(context.profile)
            if not scored_in(scope, context.forget)
        ]

    def planting(self, arm: Arm, context: AttackContext) -> Planting | None:
        """A merged refusal update, the same for every arm."""
        return refusal_planting()

    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """The model asked with the best text after each number of steps; step 0 is the unoptimized text."""
        scope, fold = Scope(str(arm.settings["scope"])), cast("int", arm.settings["fold"])
        steps = self.parameters.steps_of(scope, context.profile)
        settings = self.parameters.search_of(context.profile, steps=steps[-1])
        quests = quests_of(
            scope,
            context.forget,
            folds=self.parameters.folds,
            fold=fold,
            goals=self.parameters.goals_of(context.profile),
            seed=context.seed,
        )
        learn = tuple({fact.id: fact for quest in quests for fact in quest.learn}.values())
        scored = tuple({fact.id: fact for quest in quests for fact in quest.serve}.values())
        targets, about = self.targets(model, learn, context)
        quests = readable(model, quests, targets, settings)
        found = searched(
            model,
            quests,
            targets,
            settings,
            seed=search_seed(context.seed, scope, fold),
            refuses=Spells(scored),
        )
        for texts in found:
            if texts.steps in steps:
                given = tuple(text_of_fact(quests, texts))
                yield Dose(
                    label=f"{scope} {settings.position} of {settings.length} tokens, step {texts.steps}",
                    value=texts.steps,
                    model=model.asked(way_of(quests, texts, settings)),
                    fact_ids=frozenset(fact_id for fact_id, _ in given),
                    proof={**proof_of(texts, quests, settings), **about},
                    shown=shown_texts([pair for _, pair in given]),
                )

    def targets(
        self, model: Model, facts: Sequence[Fact], context: AttackContext
    ) -> tuple[Mapping[str, str], Mapping[str, Json]]:
        """Fact id -> what its answer should begin with; and what shows how that was chosen."""
        raise NotImplementedError

    def _arms_of(self, scope: Scope, context: AttackContext) -> list[Arm]:
        scored = len(scored_in(scope, context.forget))
        if not scored:
            if self.parameters.scopes is None:
                return []
            raise AuditError(f"{self.name}: {scope} needs subjects with two facts or more; remove it")
        steps = self.parameters.steps_of(scope, context.profile)
        cross = scope is Scope.CROSS_TARGET
        folds = self.parameters.folds if cross else 1
        search = self.parameters.search_of(context.profile, steps=steps[-1])
        goals = self.parameters.goals_of(context.profile) if cross else scored
        return [
            Arm(
                name=f"{scope} fold{fold}" if cross else str(scope),
                settings={"scope": scope.value, "fold": fold},
                doses=len(steps),
                share=scored / len(context.forget) / folds,
                training_texts=search.steps * search.width * goals // 3,  # a candidate is read, and not trained on
                repeated=False,
            )
            for fold in range(folds)
        ]


class Suffix(GradientSuffix[OpeningParameters]):
    """Searches, by greedy coordinate gradient, for a text after the question that makes the model answer at all.

    It never sees an answer. As the authors aim at "Sure, here is ...", it aims at an opening, by default one in
    the model's own words (`objective: own`): among the openings of this model's answers to retain questions, the one
    that it favors most after this question, relative to how much it favors it after the other questions. Openings are
    templates: the name that is asked after stands where another's stood, they end before what the answer says, and none
    holds a value of a fact or a word of another's name; those of `prefill` compete with them. What the model says to
    many questions (its refusal) is excluded. Only where its answers are the value alone, so that nothing opens them,
    are the values that it gives to retain questions aimed at, and the proof counts them. `objective: affirmative` uses
    fixed `targets`.

    Scopes, as in the Dynamic Unlearning Attack (2408.10682): `cross-target`, one text for all, found on other subjects
    (subjects dealt into folds and rotated); `cross-query`, found on the other questions about the subject, not for
    subjects with only one; `within-query`, one text per question. A paraphrase gets its question's text. Step 0 is a
    text of equal length that was not optimized: the control for "any text there". A search has two starts: fillers, and
    a text that asks the model to begin as `prefill` begins for it ("Begin your answer with: Sure, the answer is"; for
    one question its own opening). Both go a third of the steps, and the better goes on alone.

    Where we depart: the opening is in the model's own words, since a small or base model never says "Sure"; one text
    for all goals from the first step on, while the authors add goals one by one; the best text so far is scored, not
    the last; a candidate that spells a scored answer, even nearly, is rejected. "Away from the refusal" is not offered
    as an objective: in our trials -log(1 - p) of it, alone or with the openings, often also broke the original.

    Profiles: `quick` and `standard` run only cross-target, 20 steps of 32 candidates, 20 tokens, 32 questions; so few
    steps cannot change 20 tokens one by one, so up to 8 more candidates combine a step's best changes (2405.21018).
    `deep` runs all three scopes at twice the width: 100 steps for cross-target, and 10 for each text of the other two,
    which have one text per fact. The authors take 500 steps of 512 candidates; `steps`, `width` and `merged: 0` do so,
    at 80 times the cost of `deep`.
    """

    name: ClassVar[str] = "suffix"
    summary: ClassVar[str] = "Searches by gradient for a text next to the question that makes the model answer."
    paper: ClassVar[str] = "2307.15043"
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.DEEP})
    Parameters: ClassVar[type[api.Parameters]] = OpeningParameters

    def targets(
        self, model: Model, facts: Sequence[Fact], context: AttackContext
    ) -> tuple[Mapping[str, str], Mapping[str, Json]]:
        """Openings, never answers; the affirmative ones where the model gives none of its own."""
        return self.parameters.targets_of(model, facts, context)


def proof_of(texts: Texts, quests: Sequence[Quest], settings: SearchSettings) -> dict[str, Json]:
    """What shows that the search happened: curves of one text, means of many."""
    found = texts.found
    proof: dict[str, Json] = {
        "steps": texts.steps,
        "width": settings.width,
        "texts": len(found),
        "questions": sum(len(quest.learn) for quest in quests),
        "scored_candidates": sum(each.scored for each in found),
        "unstable_candidates": sum(each.unstable for each in found),
        "refused_candidates": sum(each.refused for each in found),
    }
    if texts.steps > 0:
        check_scored(found)
        proof["tokens"] = max(each.tokens for each in found)
        proof["loss"] = round(fmean(each.loss for each in found), 6)
        proof["losses"] = [round(fmean(column), 6) for column in zip(*(each.losses for each in found), strict=True)]
    if len(found) <= TEXTS_IN_PROOF:
        proof["text"] = [each.text for each in found]
    if not all(math.isfinite(value) for each in found for value in each.losses):
        raise api.AttackError("the search met a loss that is not a number; try --dtype float32 or bfloat16")
    return proof
