"""A probe's run on a few facts with a model that computes nothing: what it asks, and what all but the model takes.

What a probe asks depends on the facts, on its parameters and on what other probes asked before, so that it is counted
on the probe itself, for a sample of the facts, and not by a formula.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from unlearn_audit.api import AnswerScore, Fact, FactSet, Generation, Prompt
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.shared_prefix import group_rows
from unlearn_audit.models.writing.openings import Opening, openings
from unlearn_audit.models.writing.sampling import Sampling
from unlearn_audit.plan.forecasting.speed import Speed
from unlearn_audit.plan.live import LivePlan

SAMPLE = 12
"""Facts that a probe is tried on; an audit with fewer is tried whole."""


@dataclass
class Asked:
    """Work for a model.

    Attributes:
        read: tokens to read.
        steps: tokens to write.
        turns: passes for those, if what is asked for at once is one batch.
        filled: the same, if batches are full.
    """

    read: float = 0.0
    steps: float = 0.0
    turns: float = 0.0
    filled: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Rehearsal(Engine):
    """A model that notes what it is asked, and says what it was given to say.

    What a probe does with the module itself it does, and the clock sees it.
    """

    work: Asked = field(default_factory=Asked)
    speed: Speed

    def _answer_all(self, prompts: list[Prompt], max_new_tokens: int) -> list[Generation]:
        ids = [self.renderer.prompt_ids(put) for prompt in prompts for put in self._put(prompt)]
        alike = openings(ids) if self.shares_openings else [Opening(places=tuple(range(len(ids))), shared=0)]
        for opening in alike:
            self.work.read += opening.shared + sum(len(ids[place]) - opening.shared for place in opening.places)
        self._write(ids, max_new_tokens)
        return [self._said(place, max_new_tokens) for place in range(len(prompts))]

    def _sample_all(self, prompts: list[Prompt], how: Sampling) -> list[list[Generation]]:
        ids = [self.renderer.prompt_ids(put) for prompt in prompts for put in self._put(prompt)]
        times = 1 if self.repeats_prompts else how.count
        self.work.read += times * sum(map(len, ids))
        self._write(ids * how.count, how.max_new_tokens)
        return [[self._said(place, how.max_new_tokens) for place in range(how.count)] for _ in prompts]

    def _write(self, rows: Sequence[Sequence[int]], most: int) -> None:
        """Counts what it takes to answer prompts, the first token of an answer coming with what is read."""
        if not rows:
            return
        turns = min(self.speed.longest, most) - 1
        self.work.turns += turns
        self.work.filled += turns * len(rows) * (max(map(len, rows)) + most) / self.budget.tokens
        self.work.steps += len(rows) * (min(self.speed.length, most) - 1)

    def _said(self, place: int, most: int) -> Generation:
        text = self.speed.said[place % len(self.speed.said)]
        return Generation(text=text, finished=True, new_tokens=round(min(self.speed.length, most)))

    def _best_all(self, pairs: list[tuple[Prompt, str]]) -> list[AnswerScore]:
        put = [(prompt, answer) for asked, answer in pairs for prompt in self._put(asked)]
        rows = [self.renderer.render(prompt, answer) for prompt, answer in put]
        groups = group_rows([prompt for prompt, _ in put], rows, self.budget.tokens) if self.shares_prefixes else ()
        alike = [group for group in groups if len(group.rows) > 1 and group.shared]
        once = {place for group in alike for place in group.places}
        self.work.read += sum(group.read for group in alike)
        self.work.read += sum(len(row.token_ids) for place, row in enumerate(rows) if place not in once)
        counts = [sum(row.is_answer) for row in rows[:: max(1, len(self.ways))]]
        return [AnswerScore(log_probs=(-1.0,) * count, greedy=(False,) * count) for count in counts]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds of a probe at a dose.

    Attributes:
        fact: for each fact.
        once: whatever the number of facts.
        turns: of passes that write, if what is asked for at once is one batch.
        filled: the same for each fact, if batches are full.
    """

    fact: float
    once: float = 0.0
    turns: float = 0.0
    filled: float = 0.0

    def of(self, facts: float) -> float:
        """Seconds for so many facts."""
        return self.once + self.fact * facts + max(self.turns, self.filled * facts)


def rehearsed(live: LivePlan, engine: Engine, speed: Speed, battery: Sequence[str]) -> dict[str, Cost]:
    """What each probe of a battery costs at a dose; without those that cannot be tried before they are prepared.

    Args:
        live: the plan, with its facts and probes.
        engine: a model of the audit.
        speed: of that model.
        battery: probes, in their order: what one has asked, the next ones need not.
    """
    known = {one.name: getattr(engine, one.name) for one in fields(Engine)}
    model = Rehearsal(**{**known, "memory": {}}, speed=speed)
    small = replace(model, memory={})
    found: dict[str, Cost] = {}
    for name in battery:
        pool = live.pool(live.probes[name].reads)
        few, many = max(1, min(SAMPLE, len(pool)) // 3), min(SAMPLE, len(pool))
        try:
            _taken(live, name, pool[:few], replace(model, memory={}))  # what libraries load at first, they load here
            less, _ = _taken(live, name, pool[:few], small)
            own, work = _taken(live, name, pool[:many], model)
            # What a probe makes of the whole set is made once, however many of its facts are scored.
            slope = max(0.0, (own - less) / max(1, many - few))
            computed = work.read * speed.read + work.steps * speed.step
            cost = Cost(
                fact=slope + computed / many,
                once=max(0.0, own - slope * many),
                turns=speed.turn * work.turns,
                filled=speed.turn * work.filled / many,
            )
        except Exception:  # noqa: S112 - a plug-in's failure: it lacks what is not prepared yet, or its jobs will tell
            continue
        found[name] = cost
    return found


def _taken(live: LivePlan, name: str, chosen: Sequence[Fact], model: Rehearsal) -> tuple[float, Asked]:
    """Seconds of all but the model, and the model's work."""
    probe = live.probes[name]
    pool = live.pool(probe.reads)
    placebo: Mapping[str, Fact] = live.placebo if probe.reads is FactSet.FORGET else {}
    asked = [*chosen, *(placebo[fact.id] for fact in chosen if fact.id in placebo)]
    before = replace(model.work)
    begun = time.thread_time()
    for _ in probe.observe(model, asked, pool):
        pass
    seconds = time.thread_time() - begun
    done = {one.name: getattr(model.work, one.name) - getattr(before, one.name) for one in fields(Asked)}
    return seconds, Asked(**done)
