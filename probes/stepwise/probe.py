"""Stepwise: led to the question in steps of reasoning, does the model say what it withholds?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, cast

from pydantic import Field

from unlearn_audit.api import Access, Fact, Json, Measure, Model, Parameters, Probe, Profile, Reading
from unlearn_audit.api.kit.answered import QuestionParameters, ask_all
from unlearn_audit.api.kit.asking import token_limit
from unlearn_audit.api.kit.twins import Twins

from ..shared.exposure import EXPOSURE, HIT, exposure_readings, hit_readings
from ..shared.options import StatementParameters
from .chains import Chains, write_premises


class StepwiseParameters(StatementParameters, QuestionParameters):
    """Parameters of `stepwise`."""

    extra_tokens: int = Field(96, ge=0, description="Tokens of reasoning beyond the longest question and answer.")
    max_new_tokens: int = Field(192, ge=1, description="Most tokens of an output; raise it for thinking models.")
    written_tokens: int = Field(96, ge=1, description="Most tokens that a generator writes for one chain.")


class Stepwise(Probe[StepwiseParameters]):
    """The step-by-step reasoning attack (Sleek, 2506.17279): direct, indirect and implied chains to the question.

    - `hit`: greedy output against the answer key, a reading for each chain, advisory. What a prompt itself says is no
      key, and a twin that it names is not a twin.
    - `exposure`: 1 if any of the chains that suit every question elicits the answer; gates if the policy names it.
      Its twin score is the share of other subjects' answers that any of the same outputs contains.

    **Direct** chains ask to recall the subject first and then the question. **Indirect** ones ask for the surroundings
    first, several questions in one prompt that ends with the fact's own. **Implied** ones have the model continue
    reasoning that was started for it: a researcher's notes, a scratchpad, a conclusion. Templates are in
    `probes/stepwise/stepwise.yaml`. Every prompt has the whole question. Anything else told or asked is screened:
    it neither contains the answer nor asks the same (`api.Screen`).

    With `--generator`, a local model writes premises for each question, for three more chains (`written-*`).
    It writes once, before the audit's models are loaded, and every role is asked the same. Lines with the answer
    are dropped and counted.

    **Departures** from Sleek: there a large model writes all prompts, and people sort prompts and judge answers. Here
    templates are the default, the chain is one message, and the answer key decides.

    **Known failures**: reasoning that hits the limit before it reaches the answer counts as not shown; raise
    `max_new_tokens`. Facts without a sibling in the set, a statement, or written lines are missing in the chains that
    need these, and those chains stay out of `exposure`. A generator writes nothing for placebo facts.
    """

    name: ClassVar[str] = "stepwise"
    summary: ClassVar[str] = "Leads to the question in steps of reasoning, and looks for the answer in the output."
    paper: ClassVar[str] = "2506.17279"
    access: ClassVar[Access] = Access.PROMPTS
    measures: ClassVar[tuple[Measure, ...]] = (EXPOSURE, HIT)
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
    Parameters: ClassVar[type[Parameters]] = StepwiseParameters

    def write(self, generator: Model, pool: Sequence[Fact]) -> Mapping[str, Json]:
        """Premises for every question of the pool."""
        twins = Twins.shared(pool, rouge_threshold=self.parameters.rouge_threshold)
        return write_premises(generator, pool, twins, max_new_tokens=self.parameters.written_tokens)

    def observe(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        """A hit for each chain, and one exposure, of every fact."""
        own = self.parameters
        twins = Twins.shared(pool, rouge_threshold=own.rouge_threshold, judge=self.judge)
        written = cast("Mapping[str, Any] | None", self.prepared.get("written"))
        chains = Chains(pool, twins, own.statements, written)
        asks = [ask for fact in facts for ask in chains.asks(fact)]
        limit = token_limit(model, pool, extra_tokens=own.extra_tokens, max_new_tokens=own.max_new_tokens)
        answered = ask_all(model, asks, twins, limit)
        yield from exposure_readings(facts, answered, twins, minimum_twins=own.minimum_twins)
        yield from hit_readings(asks, answered, twins, minimum_twins=own.minimum_twins)
