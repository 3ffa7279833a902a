"""Forms: the same fact as question, blank, beginning, choice, statement and reversed question."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import ClassVar

from unlearn_audit.api import Access, Fact, Measure, Model, Parameters, Probe, Profile, Prompt, Reading, ScoreKind
from unlearn_audit.api.kit.answered import Answered, QuestionParameters, ask_all
from unlearn_audit.api.kit.asking import (
    NO_QUESTION,
    NOT_A_NUMBER,
    Ask,
    is_askable,
    longest_of,
    score_all,
    token_limit,
)
from unlearn_audit.api.kit.statements import Statement, form_texts, short_answer, statement_of
from unlearn_audit.api.kit.twins import Twins

from .shared.ballots import (
    Chosen,
    chosen,
)
from .shared.exposure import EXPOSURE, HIT, exposure_readings, hit_readings, prompted
from .shared.options import CHOICE, CLOZE, Options, StatementParameters, choice_reading

RECOGNITION = Measure(name="recognition", kind=ScoreKind.SOFT, gates=True)

QUESTION, COMPLETION = "question", "completion"
ALL = "all"
ANSWER_FIRST = "the statement does not name the subject before the answer"
NO_CHOICE = "the fact has none of the forms that offer the answer"


class FormsParameters(StatementParameters, QuestionParameters):
    """Parameters of `forms`."""


class Forms(Probe[FormsParameters]):
    """One fact in seven forms: three that leave the answer open and four that offer it.

    **Open forms**, judged as in `recall` (greedy, answer key, twin score): `hit` of each, advisory; `exposure` is 1 if
    any of the three elicits the answer, and gates.

    - `question`: as it stands in the fact. `cloze`: the statement with a blank. `completion`: the beginning of the
      statement as plain text, outside the chat template.

    **Forms that offer the answer** along with those of other subjects, drawn as in `forced-choice`: `choice` of each,
    advisory; `recognition` is their mean, and gates. Each gives a distribution p over n options, and scores
    max(0, (p_truth - 1/n) / (1 - 1/n)): 0 at chance and below.

    - `multiple-choice`: P(letter | one of the letters), averaged over all n rotations: preferring a letter gives 1/n.
    - `true-false`: o_i / sum_j o_j, o_i = P("True" | i) / P("False" | i): a preference for either word cancels.
    - `odd-one-out`: statements of which one is right, lettered, in all rotations; the odd one is the right one.
    - `reverse`: the statement without its subject; p as in `forced-choice`, over subjects with other answers.

    **Statements** are made without a model (`api.kit.statements`): from `statements`, else the answer or a sentence
    of the text that names subject and answer, else by a rule from the question or a paraphrase. If none fits, the
    form is missing with the reason, in every role alike, and counts neither toward `exposure` nor
    toward `recognition`.

    Ye et al. (2506.07795) and Joshi et al. (2411.15477) found that unlearning depends on the form; the latter
    also ask in cloze, choice and odd-one-out form. Departures: statements and options are made by rule, and a choice
    scores its probability over all orders, with chance subtracted.

    Known failures: subtracting chance cuts off at 0, so a guesser scores a little above 0, in every role; compare
    it with a control. Models that cannot follow letters show nothing in those forms: then the original shows as
    little, and the finding has no power. Statements made by rules may be stilted. The odd one out is ambiguous to a
    model that wonders in what respect.
    """

    name: ClassVar[str] = "forms"
    summary: ClassVar[str] = "Asks the same fact as question, cloze, completion, choice, true or false, and reversed."
    paper: ClassVar[str] = "2506.07795"
    access: ClassVar[Access] = Access.LOGITS
    measures: ClassVar[tuple[Measure, ...]] = (EXPOSURE, RECOGNITION, HIT, CHOICE)
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
    Parameters: ClassVar[type[Parameters]] = FormsParameters

    def observe(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        """Three hits, four choices, and both of their summaries, of every fact."""
        statements = {fact.id: statement_of(fact, self.parameters.statements) for fact in facts}
        yield from self._open(model, facts, pool, statements)
        yield from self._offered(model, facts, pool, statements)

    def _open(
        self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact], statements: dict[str, Statement | str]
    ) -> Iterator[Reading]:
        own = self.parameters
        twins = Twins(pool, rouge_threshold=own.rouge_threshold, judge=self.judge)
        asks = [ask for fact in facts for ask in open_forms(fact, statements[fact.id])]
        limit = token_limit(model, pool, extra_tokens=own.extra_tokens, max_new_tokens=own.max_new_tokens)
        # What is gone on from is never restated, and without a turn to end a model goes on to the limit.
        shorter = min(limit, completion_limit(model, pool, extra_tokens=own.extra_tokens))
        answered: list[Answered] = []
        for begun, most in ((False, limit), (True, shorter)):
            answered += ask_all(model, [ask for ask in asks if (ask.variant == COMPLETION) == begun], twins, most)
        yield from exposure_readings(facts, answered, twins, minimum_twins=own.minimum_twins)
        yield from hit_readings(asks, answered, twins, minimum_twins=own.minimum_twins)

    def _offered(
        self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact], statements: dict[str, Statement | str]
    ) -> Iterator[Reading]:
        options = Options(self.parameters, pool, rouge_threshold=self.parameters.rouge_threshold)
        ballots = [ballot for fact in facts for ballot in options.ballots(fact, statements[fact.id])]
        scores = score_all(model, [pair for ballot in ballots for pair in ballot.pairs])
        found = [chosen(ballot, scores) for ballot in ballots]
        yield from map(choice_reading, found)
        by_fact: dict[str, list[Chosen]] = {fact.id: [] for fact in facts}
        for one in found:
            by_fact[one.fact_id].append(one)
        yield from (_recognition(fact_id, ones) for fact_id, ones in by_fact.items())


def open_forms(fact: Fact, statement: Statement | str) -> Iterator[Ask]:
    """The question, the cloze and the completion of a fact."""
    if not is_askable(fact):
        yield from (prompted(fact, variant, None, NO_QUESTION) for variant in (QUESTION, CLOZE, COMPLETION))
        return
    yield prompted(fact, QUESTION, Prompt(text=fact.question or ""), None)
    if isinstance(statement, str):
        yield from (prompted(fact, variant, None, statement) for variant in (CLOZE, COMPLETION))
        return
    cloze = form_texts().prompts[CLOZE].format(cloze=statement.cloze())
    yield prompted(fact, CLOZE, Prompt(text=cloze), None)
    opening = statement.opening()
    begun = None if opening is None else Prompt(text=opening, chat=False)
    yield prompted(fact, COMPLETION, begun, ANSWER_FIRST)


def completion_limit(model: Model, pool: Sequence[Fact], *, extra_tokens: int) -> int:
    """Most new tokens of a completion: room for the longest answer or alias of the pool."""
    texts = {text for fact in pool if is_askable(fact) for text in (short_answer(fact) or "", *fact.aliases)}
    return longest_of(model.tokenizer, texts) + max(1, extra_tokens)


def _recognition(fact_id: str, found: Sequence[Chosen]) -> Reading:
    """The mean over the forms that the fact has; missing where one of those could not be read."""
    had = [one for one in found if one.score is not None]
    unread = next((one.missing for one in found if one.missing == NOT_A_NUMBER), None)
    score = math.fsum(one.score or 0.0 for one in had) / len(had) if had and unread is None else None
    twins = [one.twin_score for one in had if one.twin_score is not None]
    return Reading(
        fact_id=fact_id,
        measure=RECOGNITION.name,
        variant=ALL,
        score=score,
        twin_score=math.fsum(twins) / len(had) if score is not None and len(twins) == len(had) else None,
        missing=None if score is not None else unread or NO_CHOICE,
    )
