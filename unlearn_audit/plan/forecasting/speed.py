"""What a model costs on this machine, measured on the model itself: a batch of answers, one of scores, a training step.

In the processor time of one thread, so that what else runs matters little, and then divided by what the threads of a
run are worth. On a device that is no CPU it is the time by the clock.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

from unlearn_audit.api import Fact, Generation, Prompt
from unlearn_audit.api.kit.training.lora import add_lora
from unlearn_audit.api.kit.training.products import fast_products, prepared_for_speed
from unlearn_audit.errors import AuditError

if TYPE_CHECKING:
    import torch

    from unlearn_audit.models.engine import Engine

NEW_TOKENS = 32
"""Most tokens of an answer of the measured batches."""
LESSONS, RANK, MOST_FACTS = 8, 16, 256
GROWTH, ENOUGH_SECONDS = 4, 1.0
"""A batch grows by this factor for as long as it takes less than so many seconds: `plan` keeps nobody waiting.

At least one of several answers is written: a pass over a large model takes about the same for one row as for eight.
"""
OURS = (Prompt(text="What is the capital of France?"), "Paris")
WORTH_OF_A_THREAD = 0.8
"""What each thread after the first adds, of what the first does."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Seconds that a model takes here.

    Attributes:
        read: a token that is read with many others.
        turn: one more token for a batch of answers, however many they are.
        step: the same for each of them, on top.
        lesson: a question with its answer in a step of training an adapter.
        copied: a copy of all weights, which is about what it takes to look at each once.
        loaded: to load the model; 0 where it was there.
        length: mean tokens of an answer that has room to end; at least 1, infinite where none ended.
        longest: tokens of the longest answer likewise.
        said: what it answered, for those who want to know how long it takes to judge.
    """

    read: float
    step: float
    lesson: float
    copied: float
    turn: float = 0.0
    loaded: float = 0.0
    length: float = math.inf
    longest: float = math.inf
    said: tuple[str, ...] = ("",)


def measured(engine: Engine, facts: Sequence[Fact], *, trains: bool = True, loaded: float = 0.0) -> Speed:
    """The speed of a loaded model, on questions of an audit.

    Args:
        engine: the model.
        facts: those that will be asked.
        trains: whether a training step is to be measured; else it is taken to be three readings.
        loaded: seconds that loading took.
    """
    pairs = _pairs(engine, facts)
    with _Clock(engine.device) as clock:
        rows, _ = 1, clock.seconds(lambda: _written(engine, pairs[:1]))  # what is made at first is made here
        most = min(len(pairs), max(1, engine.budget.tokens // _width(engine, pairs)))
        batches = []
        while True:  # the larger a batch the less each of its rows takes: up to that of a run, or until it takes long
            batches.append(_batch(engine, pairs[:rows], clock))
            if rows == most or (rows > 1 and batches[-1].seconds > ENOUGH_SECONDS / GROWTH):
                break
            rows = min(most, GROWTH * rows)
        largest = batches[-1]
        turn, step = _shares(batches)
        lesson = _lesson(engine, pairs[:LESSONS], clock) if trains else None
        return Speed(
            read=largest.read,
            turn=turn,
            step=step,
            lesson=3 * largest.read * _width(engine, pairs) if lesson is None else lesson,
            copied=clock.seconds(lambda: _copied(engine)),
            loaded=loaded,
            length=largest.length,
            longest=largest.longest,
            said=tuple(answer.text for answer in largest.answers),
        )


@dataclass(frozen=True, kw_only=True)
class _Batch:
    """A batch of answers that was written.

    Attributes:
        read: seconds of a token that is read.
        seconds: of all of it.
        writing: without reading.
    """

    read: float
    seconds: float
    writing: float
    answers: tuple[Generation, ...]

    @property
    def turns(self) -> int:
        """Passes that each gave one more token to those that had not ended."""
        return max(answer.new_tokens for answer in self.answers)

    @property
    def steps(self) -> int:
        """The same, counted once for each answer."""
        return sum(answer.new_tokens for answer in self.answers)

    @property
    def length(self) -> float:
        """Mean tokens of an answer: those that were cut off would go on as the others do (exponential, censored)."""
        ended = sum(answer.finished for answer in self.answers)
        return max(1.0, self.steps / ended) if ended else math.inf

    @property
    def longest(self) -> float:
        """Tokens of the longest answer."""
        return max(1, self.turns) if all(answer.finished for answer in self.answers) else math.inf


def _shares(batches: Sequence[_Batch]) -> tuple[float, float]:
    """Seconds of a turn of a batch, and of each row in it, neither below 0, that come nearest to what was measured."""
    from scipy.optimize import nnls

    largest = batches[-1].writing or 1.0
    counted = [[one.turns, one.steps] for one in batches[-2:]]
    (turn, step), _ = nnls(counted, [one.writing / largest for one in batches[-2:]])
    return float(turn) * largest, float(step) * largest


def _pairs(engine: Engine, facts: Sequence[Fact]) -> list[tuple[Prompt, str]]:
    """Questions of an audit with their answers, those that the model can read; one of ours where there is none."""
    asked = [
        (Prompt(text=text), fact.answer or fact.text or "")
        for fact in facts[:MOST_FACTS]
        for text in (fact.question or fact.text or "", *fact.paraphrases)
    ]
    return [pair for pair in dict.fromkeys(asked) if engine.unread(engine.render(*pair)) is None] or [OURS]


def _width(engine: Engine, pairs: Sequence[tuple[Prompt, str]]) -> int:
    return NEW_TOKENS + max(len(engine.renderer.prompt_ids(prompt)) for prompt, _ in pairs)


def _written(engine: Engine, pairs: Sequence[tuple[Prompt, str]]) -> list[Generation]:
    return engine.generate([prompt for prompt, _ in pairs], max_new_tokens=NEW_TOKENS)


def _batch(engine: Engine, pairs: Sequence[tuple[Prompt, str]], clock: _Clock) -> _Batch:
    before = engine.tally.tokens
    scored = clock.seconds(lambda: engine.score(pairs))
    between = engine.tally.tokens
    answers: list[Generation] = []
    seconds = clock.seconds(lambda: answers.extend(_written(engine, pairs)))
    read = scored / max(1, (between - before).read)
    writing = max(0.0, seconds - read * (engine.tally.tokens - between).read)
    return _Batch(read=read, seconds=seconds, writing=writing, answers=tuple(answers))


class _Clock:
    """Measures how long work takes, in one thread, and says what it takes with those of a run."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def __enter__(self) -> Self:
        import torch

        self._threads = torch.get_num_threads()
        torch.set_num_threads(1)
        return self

    def __exit__(self, *_: object) -> None:
        import torch

        torch.set_num_threads(self._threads)

    def seconds(self, work: Callable[[], object]) -> float:
        """What it takes; work of a device is over when its numbers are here, which all of ours waits for."""
        clock = time.thread_time if self._device.type == "cpu" else time.monotonic
        begun = clock()
        work()
        taken = max(clock() - begun, 1e-9)
        return taken / (1 + WORTH_OF_A_THREAD * (self._threads - 1)) if self._device.type == "cpu" else taken


def _lesson(engine: Engine, pairs: Sequence[tuple[Prompt, str]], clock: _Clock) -> float | None:
    """Seconds of a training step on each of a few questions with their answers; None where no adapter can be put on."""
    import torch
    from torch.nn import functional

    from unlearn_audit.api.kit.blocks import takes_logits_to_keep  # loads torch

    rows = [engine.render(prompt, answer, ended=True) for prompt, answer in pairs]
    width = max(len(row.token_ids) for row in rows)
    ids = torch.tensor(
        [[*row.token_ids, *[engine.pad_id] * (width - len(row.token_ids))] for row in rows], device=engine.device
    )
    asked = min(row.is_answer.index(True) for row in rows)
    few = {"logits_to_keep": width - asked + 1} if takes_logits_to_keep(engine.module) else {}
    with torch.inference_mode(mode=False), torch.enable_grad(), engine.fork() as fork:
        try:
            add_lora(fork.module, rank=RANK, seed=0)
            optimizer = torch.optim.AdamW([one for one in fork.module.parameters() if one.requires_grad])
            products = partial(fast_products, fork.module, width) if prepared_for_speed(fork.module) else nullcontext

            def step() -> None:
                with products():
                    logits = fork.module(input_ids=ids, use_cache=False, **few).logits[:, asked - width - 1 : -1]
                    loss = functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, asked:].flatten())
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                optimizer.zero_grad()

            step()  # the first makes what the others find
            return clock.seconds(step) / len(rows)
        except (AuditError, RuntimeError, ValueError):  # weights that nothing can be trained through; no memory for it
            return None


def _copied(engine: Engine) -> None:
    with engine.fork(copy_weights=True):
        pass
