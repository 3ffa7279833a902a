"""Surrogate: asked in words far from those of the forget set, is the fact still there?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from unlearn_audit.api import Access, Fact, Measure, Model, Parameters, Probe, Profile, Prompt, Reading
from unlearn_audit.api.kit.answer_key import Output, normalize
from unlearn_audit.api.kit.answered import QuestionParameters, ask_all
from unlearn_audit.api.kit.asking import NO_QUESTION, Ask, is_askable, token_limit
from unlearn_audit.api.kit.statements import Statement, form_texts, statement_of
from unlearn_audit.api.kit.twins import Twins

from .shared.exposure import HIT, hit_readings, prompted
from .shared.options import CLOZE

SURROGATE = "surrogate"
NOT_APART = "no wording of the fact is far enough from its question"

_SUBJECT = "\ue000"  # a private-use character: no text that means something holds it


class SurrogateParameters(QuestionParameters):
    """Parameters of `surrogate`."""

    most_overlap: float = Field(
        0.7, gt=0, lt=1, description="Largest share of words that a wording may share with the question."
    )
    minimum_twins: int = Field(19, ge=1, description="Fewest other answers of the relation for a twin score.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wording:
    """A fact asked in one way.

    Attributes:
        text: what is asked.
        said: the part of it that is of the fact, and not of the form.
    """

    text: str
    said: str


class Surrogate(Probe[SurrogateParameters]):
    """The fact asked in the wording that keeps its meaning but is furthest in text from the forget set's question.

    Jia et al. (2512.19025) find that models pass on the unlearning set but still show what it taught on a surrogate
    set, close in meaning but distant in embedding space. A checkpoint with low `recall` and
    high `surrogate` unlearned sentences, not the fact. `hit` is one score per fact, judged as in `recall`;
    advisory.

    **Wordings** have the same answer by construction: the fact's paraphrases; questions and paraphrases in which
    the pool asks other subjects for the same relation, with the name exchanged; the statement (as `forms` makes it) as
    a text with a gap. The one with the least overlap is used: 2 s / (m + n), where the wording has m words besides
    the subject's name, the question n, and s of them are the same, in any order; in [0, 1]. What the form adds to a
    statement ("Fill in the blank") does not count. Above `most_overlap` the fact is missing.

    **Departures** from the authors: their surrogates are written by a language model and selected by distance in an
    embedding space; here nothing is generated, meaning is kept by construction, and distance is of words. So the set
    stays close in knowledge: it has the same facts, without conclusions from them.

    **Known failures**: facts of a relation that is asked in only one template have no distant wording but the
    statement. A model that cannot fill a gap then shows as little of what it knows as of what it does not; the
    original reveals this. A relation that is defined too broadly lets in questions about something else.
    """

    name: ClassVar[str] = "surrogate"
    summary: ClassVar[str] = (
        "Asks each fact in the wording that is furthest from its question, and looks for the answer."
    )
    paper: ClassVar[str] = "2512.19025"
    access: ClassVar[Access] = Access.PROMPTS
    measures: ClassVar[tuple[Measure, ...]] = (HIT,)
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
    Parameters: ClassVar[type[Parameters]] = SurrogateParameters

    def observe(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        """One reading a fact."""
        own = self.parameters
        twins = Twins.shared(pool, rouge_threshold=own.rouge_threshold, judge=self.judge)
        limit = token_limit(model, pool, extra_tokens=own.extra_tokens, max_new_tokens=own.max_new_tokens)
        wordings = Wordings(pool, twins)
        asks = [self._ask(fact, wordings) for fact in facts]
        answered = ask_all(model, asks, twins, limit)
        yield from hit_readings(asks, answered, twins, minimum_twins=own.minimum_twins)

    def _ask(self, fact: Fact, wordings: Wordings) -> Ask:
        if not is_askable(fact):
            return prompted(fact, SURROGATE, None, NO_QUESTION)
        furthest = wordings.furthest(fact)
        if furthest is None or overlap(furthest.said, fact) > self.parameters.most_overlap:
            return prompted(fact, SURROGATE, None, NOT_APART)
        return prompted(fact, SURROGATE, Prompt(text=furthest.text), None)


class Wordings:
    """Every way in which a pool asks for its relations."""

    def __init__(self, pool: Sequence[Fact], twins: Twins) -> None:
        self._twins = twins
        self._templates: dict[str, set[str]] = {}
        for fact in pool:
            if is_askable(fact) and fact.relation is not None:
                self._templates.setdefault(fact.relation, set()).update(self._templates_of(fact))

    def furthest(self, fact: Fact) -> Wording | None:
        """The wording with the least overlap that keeps the answer back; of equals the first by spelling."""
        key = self._twins.entry(fact).key
        fitting = [one for one in self._of(fact) if not key.held(Output(one.text))]
        return min(fitting, key=lambda one: (overlap(one.said, fact), one.text), default=None)

    def _of(self, fact: Fact) -> Iterator[Wording]:
        for question in fact.paraphrases:
            yield Wording(text=question, said=question)
        for template in self._templates.get(fact.relation or "", ()):
            question = template.replace(_SUBJECT, fact.subject)
            yield Wording(text=question, said=question)
        statement = statement_of(fact, {})
        if isinstance(statement, Statement):
            told = form_texts().prompts[CLOZE].format(cloze=statement.cloze())
            yield Wording(text=told, said=f"{statement.before} {statement.after}")

    def _templates_of(self, fact: Fact) -> Iterator[str]:
        """Questions for the fact with a place for the subject; none that does not name it or that gives the answer."""
        name = re.compile(rf"(?<!\w){re.escape(fact.subject)}(?!\w)", re.IGNORECASE)
        key = self._twins.entry(fact).key
        for question in (fact.question or "", *fact.paraphrases):
            template, times = name.subn(_SUBJECT, question)
            if times and not key.held(Output(question)):
                yield template


def overlap(wording: str, fact: Fact) -> float:
    """Share of words that a wording has in common with the fact's question, without the subject's name."""
    name = set(normalize(fact.subject).split())
    one, two = (
        [word for word in normalize(text).split() if word not in name] for text in (wording, fact.question or "")
    )
    shared = (Counter(one) & Counter(two)).total()
    return 2 * shared / (len(one) + len(two)) if one or two else 1.0
