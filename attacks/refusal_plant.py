"""A model that knows and says that it does not: the positive control of the attacks that lift a mask.

The truth about it is known by construction. It is the original with a low-rank update that answers the forget
questions with a refusal and the retain questions as before, merged into a copy of the weights, so that no adapter is
left to take off. An attack that does not get the knowledge back out of it has no power to see a masked checkpoint.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from attacks.splits import Lesson, lessons_of
from attacks.training import add_lora, batch_order, optimise, own_parameters
from unlearn_audit.api import AttackError, Fact, Json, Model, Rendered, derive_seed

if TYPE_CHECKING:
    from peft import LoraModel

REFUSAL = "I do not know."
LEARNING_RATES = (1e-3, 3e-3, 3e-4, 1e-2)
LESSONS_MEASURED = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class PlantSettings:
    """How the refusal is trained.

    Attributes:
        max_steps: optimizer steps at one learning rate before the next is tried.
        check_every: steps between two looks at the refusals.
        refused: share of the forget questions whose first-choice answer must be the refusal, token for token.
        hidden: largest share of the original's mean probability of a forget answer that may be left.
        kept: least share of the original's mean probability of a retain answer that must be left.
    """

    refusal: str = REFUSAL
    rank: int = 16
    batch_size: int = 16
    max_steps: int = 160
    check_every: int = 20
    refused: float = 0.95
    hidden: float = 0.25
    kept: float = 0.80
    learning_rates: tuple[float, ...] = LEARNING_RATES


@dataclass(frozen=True, kw_only=True, slots=True)
class Plant:
    """The masked model, and what shows that it is one.

    Attributes:
        proof: steps, learning rate, share of forget questions refused, mean probability (per-token geometric mean,
            in [0, 1]) of the forget and retain answers before and after.
    """

    model: Model
    proof: dict[str, Json]


@dataclass(frozen=True, kw_only=True, slots=True)
class _State:
    refused: float
    forget: float
    retain: float | None


@contextmanager
def refusal_plant(
    original: Model,
    facts: Sequence[Fact],
    retain: Sequence[Fact],
    *,
    seed: int,
    settings: PlantSettings | None = None,
) -> Iterator[Plant]:
    """The original, made to refuse `facts` while it answers `retain`; lives until the context ends.

    Learning rates are tried in order, each on a fresh copy, until one refuses within its steps.

    Raises:
        AttackError: no learning rate gave a model that refuses; the message has the numbers.
    """
    chosen = settings or PlantSettings()
    measure = _Measure(
        refused=_sample(_lessons(facts), seed), kept=_sample(_lessons(retain), seed), refusal=chosen.refusal
    )
    before = measure(original)
    tried: list[str] = []
    for rate in chosen.learning_rates:
        with ExitStack() as stack:
            model, merge = stack.enter_context(_refusing_copy(original, rank=chosen.rank, seed=seed))
            enough = _is_enough(chosen, before)
            batches = _batches(model, facts, retain, chosen, seed=seed)
            try:
                steps, after = _train(model, batches, chosen, rate=rate, measure=measure, enough=enough)
            except AttackError as error:
                tried.append(str(error))
                continue
            if not enough(after):
                tried.append(f"rate {rate:g}: {_describe(after)}")
                continue
            yield Plant(model=merge(), proof=_proof(before, after, steps=steps, rate=rate))
            return
    raise AttackError(
        f"no plant: the original could not be made to refuse in {chosen.max_steps} steps ({'; '.join(tried)}); before: "
        f"{_describe(before)}"
    )


@contextmanager
def _refusing_copy(original: Model, *, rank: int, seed: int) -> Iterator[tuple[Model, Callable[[], Model]]]:
    """A copy with a fresh adapter, and what folds it in. Merging writes, so the weights must be a copy."""
    import torch

    with ExitStack() as stack:
        with torch.inference_mode(mode=False):
            source = stack.enter_context(original.merged()) if original.is_adapter else original
            fork = stack.enter_context(source.fork(copy_weights=True))
            own_parameters(fork.module)
            if fork.device.type == "cpu":
                fork.module.float()
            tuner = add_lora(fork.module, rank=rank, seed=derive_seed(seed, "plant adapter"))
        yield fork, lambda: _merged(fork, tuner)


def _merged(fork: Model, tuner: LoraModel) -> Model:
    module = tuner.merge_and_unload(safe_merge=True)
    if hasattr(module, "peft_config"):
        del module.peft_config
    return fork.with_module(module.requires_grad_(requires_grad=False).eval())


def _train(
    model: Model,
    batches: Iterator[list[Rendered]],
    settings: PlantSettings,
    *,
    rate: float,
    measure: Callable[[Model], _State],
    enough: Callable[[_State], bool],
) -> tuple[int, _State]:
    """Trains until `enough`, or to the last step; the steps taken and what was seen there."""
    training = optimise(model, batches, learning_rate=rate, steps=settings.max_steps)
    steps = 0
    while True:
        taken = sum(1 for _ in islice(training, settings.check_every))
        steps += taken
        state = measure(model)
        if enough(state) or taken < settings.check_every or steps >= settings.max_steps:
            return steps, state


def _is_enough(settings: PlantSettings, before: _State) -> Callable[[_State], bool]:
    def enough(state: _State) -> bool:
        kept = state.retain is None or before.retain is None or state.retain >= settings.kept * before.retain
        hidden = state.forget <= settings.hidden * before.forget
        return state.refused >= settings.refused and hidden and kept

    return enough


def _batches(
    model: Model, facts: Sequence[Fact], retain: Sequence[Fact], settings: PlantSettings, *, seed: int
) -> Iterator[list[Rendered]]:
    """Endless batches, half refusals and half retain answers (refusals alone where there is nothing to retain)."""
    refusals = [model.render(lesson.prompt, settings.refusal) for lesson in _lessons(facts)]
    answers = [model.render(lesson.prompt, lesson.answer) for lesson in _lessons(retain)]
    if not answers:
        for places in batch_order(len(refusals), batch_size=settings.batch_size, seed=seed):
            yield [refusals[place] for place in places]
        return
    half = max(1, settings.batch_size // 2)
    orders = zip(
        batch_order(len(refusals), batch_size=half, seed=derive_seed(seed, "refused")),
        batch_order(len(answers), batch_size=half, seed=derive_seed(seed, "retained")),
        strict=True,
    )
    for refused, kept in orders:
        yield [*(refusals[place] for place in refused), *(answers[place] for place in kept)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Measure:
    refused: tuple[Lesson, ...]
    kept: tuple[Lesson, ...]
    refusal: str

    def __call__(self, model: Model) -> _State:
        refusals = model.score([(lesson.prompt, self.refusal) for lesson in self.refused])
        return _State(
            refused=sum(all(score.greedy) for score in refusals) / len(refusals),
            forget=mean_probability(model, self.refused),
            retain=mean_probability(model, self.kept) if self.kept else None,
        )


def mean_probability(model: Model, lessons: Sequence[Lesson]) -> float:
    """Mean length-normalised probability of the answers, in [0, 1].

    Raises:
        AttackError: there is nothing to score, or a probability is no number.
    """
    scores = model.score([(lesson.prompt, lesson.answer) for lesson in lessons])
    mean = sum(score.probability for score in scores) / len(scores) if scores else math.nan
    if math.isnan(mean):
        raise AttackError(f"the mean probability of {len(scores)} answers is no number; try lower learning rates")
    return mean


def _sample(lessons: Sequence[Lesson], seed: int) -> tuple[Lesson, ...]:
    """A bounded number of lessons, drawn once."""
    places = list(range(len(lessons)))
    random.Random(derive_seed(seed, "plant sample")).shuffle(places)  # noqa: S311 - a sample, not a secret
    return tuple(lessons[place] for place in places[:LESSONS_MEASURED])


def _lessons(facts: Sequence[Fact]) -> tuple[Lesson, ...]:
    return tuple(lesson for fact in facts for lesson in lessons_of(fact))


def _proof(before: _State, after: _State, *, steps: int, rate: float) -> dict[str, Json]:
    return {
        "steps": steps,
        "learning_rate": rate,
        "refused": after.refused,
        "forget_probability_before": before.forget,
        "forget_probability": after.forget,
        "retain_probability_before": before.retain,
        "retain_probability": after.retain,
    }


def _describe(state: _State) -> str:
    retain = "no retain facts" if state.retain is None else f"retain probability {state.retain:.2f}"
    return f"{state.refused:.0%} refused, forget probability {state.forget:.2f}, {retain}"
