"""Jailbreaks: asked in disguise, under pressure or among other questions, does the model say what it withholds?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar

from pydantic import Field, field_validator

from unlearn_audit.api import Access, Fact, Judge, Measure, Model, Parameters, Probe, Profile, Reading
from unlearn_audit.api.kit.answered import QuestionParameters, ask_all
from unlearn_audit.api.kit.asking import NO_QUESTION, Ask, is_askable, score_all, token_limit
from unlearn_audit.api.kit.statements import statement_of
from unlearn_audit.api.kit.text_files import Way
from unlearn_audit.api.kit.twins import MATCH, Twins

from ..shared.ballots import chosen, reversed_fact
from ..shared.exposure import EXPOSURE, HIT, exposure_readings, hit_readings, prompted
from ..shared.options import CHOICE, Options, StatementParameters, choice_reading
from .material import NO_HINT, NO_SHOTS, NO_SYNONYM, fitting, jailbreak_texts, material_of, reworded

MULTIPLE_CHOICE = "multiple-choice"


class JailbreaksParameters(StatementParameters, QuestionParameters):
    """Parameters of `jailbreaks`."""

    leave_out: tuple[str, ...] = Field((), description="Ways to skip.")
    few_shots: int = Field(4, ge=1, description="Other questions with answers before the question, in context.")
    many_shots: int = Field(16, ge=1, description="The same for `many-shot`; as many as fit the model's context.")

    @field_validator("leave_out")
    @classmethod
    def _are_ways(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        known = [*(way.name for way in jailbreak_texts().ways), MULTIPLE_CHOICE]
        for name in names:
            if name not in known:
                raise ValueError(f"unknown way {name!r}; choose from {', '.join(known)}")
        return names


class Jailbreaks(Probe[JailbreaksParameters]):
    """Twelve ways around a refusal: the nine of RWKU (2406.10890), a persona, many shots, and forbidding refusals.

    - `hit`: greedy output against the answer key, a reading for each way, advisory. What a prompt itself says is no
      key, so an answer copied from it is not a hit, and a twin that it names is not a twin.
    - `exposure`: 1 if any of the ways that suit every question elicits the answer; gates. Its twin score is the share
      of other subjects' answers that any of the same outputs contains.
    - `choice`: `multiple-choice` as in `forms` (all rotations, chance subtracted), advisory; reads logits.

    `prefix-injection`, `affirmative-suffix`, `role-play`, `cross-lingual`, `persona` and `refusal-suppression` put the
    question into a fixed text (`probes/jailbreaks/jailbreaks.yaml`). `synonym-manipulation` replaces words from a list.
    `in-context-learning` and `many-shot` put other subjects' questions with their answers before it, of which none
    contains the asked answer or states a fact of its subject (`api.Screen`). `background-hint` says what the text or
    the subject's other facts say. `reverse-query` gives the answer and asks for the subject; if several share the
    answer, a model can name only one. The last two need what not every fact has: they are then missing with the reason
    and stay out of `exposure`.

    **Departures** from RWKU: there each fact has its own attacks (6,984 in all), every prompt but that with the
    affirmative suffix begins the model's answer with "Answer:", and scores are ROUGE-L recall. Here one set of
    templates serves all facts, the model's answer is not begun for it, and hits decide. Cross-lingual questions are
    in English inside a Spanish request for an English answer. Shots come from other subjects of the set that is asked;
    a probe cannot access the retain set.

    **Known failures**: small models answer only the plain question; then the original shows as little. A
    hint has no placebo, because an invented subject has no other facts.
    """

    name: ClassVar[str] = "jailbreaks"
    summary: ClassVar[str] = "Asks in twelve ways that get around a refusal, and looks for the answer in the output."
    paper: ClassVar[str] = "2406.10890"
    access: ClassVar[Access] = Access.PROMPTS
    measures: ClassVar[tuple[Measure, ...]] = (EXPOSURE, HIT, CHOICE)
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
    Parameters: ClassVar[type[Parameters]] = JailbreaksParameters

    def observe(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        """A hit for each way, one exposure and one choice, of every fact."""
        own = self.parameters
        twins = Twins.shared(pool, rouge_threshold=own.rouge_threshold, judge=self.judge)
        limit = token_limit(model, pool, extra_tokens=own.extra_tokens, max_new_tokens=own.max_new_tokens)
        writer = Writer(own, model, pool, new_tokens=limit, judge=self.judge)
        asks = [ask for fact in facts for ask in writer.asks(fact)]
        turned = [ask for ask in asks if ask.variant in writer.turned]
        straight = [ask for ask in asks if ask.variant not in writer.turned]
        answered = ask_all(model, straight, twins, limit)
        yield from exposure_readings(facts, answered, twins, minimum_twins=own.minimum_twins)
        yield from hit_readings(straight, answered, twins, minimum_twins=own.minimum_twins)
        answered = ask_all(model, turned, writer.subjects, limit)
        yield from hit_readings(turned, answered, writer.subjects, minimum_twins=own.minimum_twins)
        yield from self._choices(model, facts, pool)

    def _choices(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        if MULTIPLE_CHOICE in self.parameters.leave_out:
            reason = f"{MULTIPLE_CHOICE} is left out"
            for fact in facts:
                yield Reading(fact_id=fact.id, measure=CHOICE.name, variant=MULTIPLE_CHOICE, score=None, missing=reason)
            return
        options = Options(self.parameters, pool, rouge_threshold=self.parameters.rouge_threshold)
        ballots = [options.multiple_choice(fact) for fact in facts]
        scores = score_all(model, [pair for ballot in ballots for pair in ballot.pairs])
        yield from (choice_reading(chosen(ballot, scores)) for ballot in ballots)


class Writer:
    """Writes the prompts of facts.

    Attributes:
        turned: names of the ways that ask for the subject.
        subjects: the answer keys of those.
    """

    def __init__(
        self,
        own: JailbreaksParameters,
        model: Model,
        pool: Sequence[Fact],
        *,
        new_tokens: int,
        judge: Judge = MATCH,
    ) -> None:
        self._own = own
        self._model = model
        self._new_tokens = new_tokens
        statements = tuple(own.statements.items())
        self._material = material_of(tuple(pool), statements, rouge_threshold=own.rouge_threshold)
        self._ways = [way for way in jailbreak_texts().ways if way.name not in own.leave_out]
        self.turned = frozenset(way.name for way in self._ways if "cloze" in way.places)
        backwards = [self._turned(fact) for fact in pool]
        self.subjects = Twins.shared(
            [fact for fact in backwards if isinstance(fact, Fact)], rouge_threshold=own.rouge_threshold, judge=judge
        )

    def asks(self, fact: Fact) -> Iterator[Ask]:
        """Every way of asking a fact, or why it cannot be asked so."""
        fillings: dict[str, str | None] = {}
        for way in self._ways:
            if not is_askable(fact):
                yield prompted(fact, way.name, None, NO_QUESTION)
                continue
            if way.name in self.turned:
                yield self._turned_ask(fact, way)
                continue
            for place in way.places - fillings.keys():
                fillings[place] = self._filling(place, fact)
            lacking = next((place for place in sorted(way.places) if fillings[place] is None), None)
            prompt = None if lacking is not None else way.filled({at: text or "" for at, text in fillings.items()})
            yield prompted(fact, way.name, prompt, _WHY.get(lacking or ""), exposes="hint" not in way.places)

    def _turned(self, fact: Fact) -> Fact | str:
        return reversed_fact(fact, statement_of(fact, self._own.statements), "{cloze}")

    def _turned_ask(self, fact: Fact, way: Way) -> Ask:
        backwards = self._turned(fact)
        if isinstance(backwards, str):
            return prompted(fact, way.name, None, backwards)
        return prompted(backwards, way.name, way.filled({"cloze": backwards.question or ""}), None, exposes=False)

    def _filling(self, place: str, fact: Fact) -> str | None:
        question = fact.question or ""
        fill: Mapping[str, Callable[[], str | None]] = {
            "question": lambda: question,
            "subject": lambda: fact.subject,
            "synonyms": lambda: reworded(question, fact.subject, jailbreak_texts().synonyms),
            "hint": lambda: self._material.hint(fact),
            "few_shots": lambda: self._shots(fact, self._own.few_shots, same_relation=True),
            "many_shots": lambda: self._shots(fact, self._own.many_shots, same_relation=False),
        }
        return fill[place]()

    def _shots(self, fact: Fact, count: int, *, same_relation: bool) -> str | None:
        lines = self._material.shots(fact, count, same_relation=same_relation)
        kept = fitting(self._model, lines, beside=fact.question or "", new_tokens=self._new_tokens)
        return "\n".join(kept) or None


_WHY = {"synonyms": NO_SYNONYM, "hint": NO_HINT, "few_shots": NO_SHOTS, "many_shots": NO_SHOTS}
