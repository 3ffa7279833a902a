"""TOFU's and open-unlearning's table: probability, ROUGE, truth ratio, memorization, membership, utility, quality."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearn_audit.evidence.published import Figure, figure, single
from unlearn_audit.run.published.scoring import Scored, gradient_norm, mean_losses, scored
from unlearn_audit.run.published.sequences import (
    NOTHING,
    Labels,
    Preface,
    asked,
    question_with_answer,
    truth_as_shipped,
)
from unlearn_audit.run.published.sequences import Sequence as Exchange
from unlearn_audit.run.published.texts import continued
from unlearn_audit.statistics.published import membership, texts, truth

if TYPE_CHECKING:
    from unlearn_audit.models.engine import Engine

Row = Mapping[str, Any]
Pair = tuple[float, list[float]]
ByRow = dict[str, dict[str, float | list[float] | None]]

NEW_TOKENS = 200
SHARE = 0.4
"""Of the tokens that min-k takes in open-unlearning's TOFU configuration."""
_NO_CONTROL = "it needs --retrained"
_NO_HOLDOUT = "it needs holdout rows"


@dataclass(frozen=True, kw_only=True)
class Way:
    """How rows are put to a model.

    Attributes:
        template: of the chat; None: plainly.
        preface: what the template is given beside a row.
        ends: tokens that end an answer; None: those that end it elsewhere in the audit.
        gradients: the gradient norm is taken too, which costs a backward pass a row.
    """

    labels: Labels
    template: str | None
    preface: Preface = NOTHING
    ends: frozenset[int] | None = None
    gradients: bool = True
    new_tokens: int = NEW_TOKENS


@dataclass(frozen=True, kw_only=True)
class Raw:
    """What is kept of one model until all are measured: membership scores and truth ratios."""

    figures: tuple[Figure, ...]
    ratios: tuple[float, ...]
    losses: Mapping[str, tuple[float, ...]]


def measured(engine: Engine, rows: Mapping[str, Sequence[Row]], way: Way) -> Raw:
    """All figures of one model that need no other model.

    Args:
        engine: the model.
        rows: of the parts `forget` and, where there are any, `retain`, `real_authors`, `world_facts`, `holdout`, with
            the published columns.
        way: how they are put.
    """
    forget = rows["forget"]
    answers = _answers(engine, forget, way)
    figures = [
        figure("forget_Q_A_Prob", {k: {"prob": v.probability, "avg_loss": v.loss} for k, v in answers.items()}, "prob"),
        figure("forget_Q_A_ROUGE", _rouge(engine, forget, way), "rougeL_recall"),
        figure("exact_memorization", {k: {"score": v.exact_memorization} for k, v in answers.items()}, "score"),
        figure("extraction_strength", {k: {"score": v.extraction_strength} for k, v in answers.items()}, "score"),
    ]
    pairs = _pairs(engine, forget, way)
    figures += _truth(pairs)
    figures += _utility(engine, rows, way)
    members = _membership(engine, answers, way)
    others = _membership(engine, _answers(engine, rows.get("holdout", ()), way), way)
    figures += [_area(name, members[name], others[name]) for name in members]
    return Raw(
        figures=tuple(figures),
        ratios=tuple(truth.truth_ratio_geometric(*pair) for pair in pairs),
        losses={"forget": members["loss"], "holdout": others["loss"]},
    )


def against(own: Raw, control: Raw | None, *, is_control: bool = False) -> tuple[Figure, ...]:
    """The figures of a model with those that compare it with a retrained one; without one they are missing.

    open-unlearning takes an area of 0.5 for the retrained model where none is given. Here the figure is missing then.
    """
    if control is None or is_control:
        why = "it compares with a retrained model, and this is it" if is_control else _NO_CONTROL
        return (*own.figures, *(single(name, None, why) for name in ("forget_quality", "privleak", "mia_reference")))
    quality = truth.forget_quality(own.ratios, control.ratios) if own.ratios and control.ratios else None
    areas = [_value(one.figures, "mia_min_k") for one in (own, control)]
    leak = membership.privleak_of_open_unlearning(*areas) if None not in areas else None  # type: ignore[arg-type]
    reference = {
        name: [one - other for one, other in zip(losses, control.losses[name], strict=True)]
        for name, losses in own.losses.items()
    }
    return (
        *own.figures,
        single("forget_quality", quality, "the rows have no `perturbed_answer`", len(own.ratios)),
        single("privleak", leak, _NO_HOLDOUT),
        _area("reference", tuple(reference["forget"]), tuple(reference["holdout"])),
    )


def _answers(engine: Engine, rows: Sequence[Row], way: Way, field: str = "answer") -> dict[str, Scored]:
    held = {str(number): (row, str(row[field])) for number, row in enumerate(rows) if row.get(field)}
    return dict(zip(held, scored(engine, _sequences(engine, held.values(), way)), strict=True))


def _sequences(engine: Engine, pairs: Iterable[tuple[Row, str]], way: Way) -> Iterator[Exchange]:
    for row, answer in pairs:
        yield question_with_answer(
            engine.tokenizer, str(row["question"]), answer, way.labels, way.template, way.preface
        )


def _pairs(engine: Engine, rows: Sequence[Row], way: Way, right: str = "paraphrased_answer") -> list[Pair]:
    """Mean log-probabilities of the right answer (the field `right`, where there is one) and of the wrong ones."""
    told: list[tuple[Row, list[str]]] = []
    for row in rows:
        wrong = row.get("perturbed_answer") or []
        wrong = [wrong] if isinstance(wrong, str) else list(wrong)
        if wrong:
            told.append((row, [str(row.get(right) or row["answer"]), *map(str, wrong)]))
    texts_of = ((row, text) for row, several in told for text in several)
    losses = iter(mean_losses(engine, _sequences(engine, texts_of, way)))
    found = [[-next(losses) for _ in several] for _, several in told]
    return [(one, wrong) for one, *wrong in found]


def _truth(pairs: Sequence[Pair]) -> list[Figure]:
    """The forget set's truth ratio in its three forms, each by its own name."""
    if not pairs:
        return [single("forget_truth_ratio", None, "the rows have no `perturbed_answer`")]
    geometric = [truth.truth_ratio_geometric(*pair) for pair in pairs]
    arithmetic = [truth.truth_ratio_arithmetic(*pair) for pair in pairs]
    shares = [truth.truth_share(*pair) for pair in pairs]
    kept = {str(number): {"score": one} for number, one in enumerate(geometric)}
    return [
        single("forget_truth_ratio", truth.mean_unlearned(geometric), rows=len(pairs)).model_copy(
            update={"by_row": kept}
        ),
        single("forget_truth_ratio (arithmetic, as printed)", truth.mean_unlearned(arithmetic), rows=len(pairs)),
        single("forget_truth_ratio (prob_mean)", float(np.mean(shares)), rows=len(pairs)),
    ]


def _rouge(engine: Engine, rows: Sequence[Row], way: Way) -> ByRow:
    """ROUGE of greedy answers, with the stemmer; the texts are not kept.

    As shipped, the truth is what decoding the exchange gives; aligned, the answer as published.
    """
    questions = [asked(engine.tokenizer, str(row["question"]), way.template, way.preface) for row in rows]
    outputs = continued(engine, questions, way.new_tokens, ends=way.ends)
    found: ByRow = {}
    for number, (row, said) in enumerate(zip(rows, outputs, strict=True)):
        answer = str(row["answer"])
        if way.labels is Labels.AS_SHIPPED:
            answer = truth_as_shipped(engine.tokenizer, str(row["question"]), answer, way.template, way.preface)
        one = texts.rouge_with_stemmer(answer, said.strip())
        found[str(number)] = {
            "rouge1_recall": one.rouge1_recall,
            "rougeL_f1": one.rouge_l_f1,
            "rougeL_recall": one.rouge_l_recall,
        }
    return found


def _utility(engine: Engine, rows: Mapping[str, Sequence[Row]], way: Way) -> list[Figure]:
    """The nine parts of model utility and their harmonic mean; parts whose rows are not there are missing."""
    found: list[Figure] = []
    for prefix, part in (("retain", "retain"), ("ra", "real_authors"), ("wf", "world_facts")):
        held = rows.get(part, ())
        names = [f"{prefix}_{name}" for name in ("Q_A_Prob", "Q_A_ROUGE", "Truth_Ratio")]
        names[0] += "" if prefix == "retain" else "_normalised"
        if not held:
            found += [single(name, None, f"no rows of {part}") for name in names]
            continue
        right = "paraphrased_answer" if prefix == "retain" else "answer"
        answers, pairs = _answers(engine, held, way), _pairs(engine, held, way, right)
        chances: ByRow = {key: {"prob": one.probability, "avg_loss": one.loss} for key, one in answers.items()}
        if prefix != "retain":
            among = [truth.probability_among(np.exp(one), np.exp(wrong)) for one, wrong in pairs]
            chances = {str(number): {"prob": one} for number, one in enumerate(among)}
        useful = truth.mean_useful([truth.truth_ratio_geometric(*pair) for pair in pairs]) if pairs else None
        found += [
            figure(names[0], chances, "prob"),
            figure(names[1], _rouge(engine, held, way), "rougeL_recall"),
            single(names[2], useful, "the rows have no `perturbed_answer`", len(pairs)),
        ]
    values = [one.value for one in found]
    known = [value for value in values if value is not None]
    lacking = ", ".join(one.name for one in found if one.value is None)
    whole = truth.model_utility(known) if len(known) == len(values) else None
    return [*found, single("model_utility", whole, f"it lacks {lacking}")]


def _membership(engine: Engine, answers: Mapping[str, Scored], way: Way) -> dict[str, tuple[float, ...]]:
    """Scores of each attack that needs one model alone, row by row."""
    held = list(answers.values())
    found = {
        "loss": tuple(one.loss for one in held),
        "zlib": tuple(one.zlib for one in held),
        "min_k": tuple(one.min_k(SHARE) for one in held),
        "min_k_plus_plus": tuple(one.min_k_plus_plus(SHARE) for one in held),
    }
    if way.gradients:
        found["gradnorm"] = tuple(gradient_norm(engine, one.sequence) for one in held)
    return found


def _area(name: str, forget: tuple[float, ...], holdout: tuple[float, ...]) -> Figure:
    """The area under the curve of an attack, with the scores behind it."""
    if not forget or not holdout:
        return single(f"mia_{name}", None, _NO_HOLDOUT)
    if not np.all(np.isfinite([*forget, *holdout])):
        return single(f"mia_{name}", None, "a score is not a number", len(forget) + len(holdout))
    value = membership.auc_memorised_high(forget, holdout)
    rows: ByRow = {
        f"{part}/{number}": {"score": score}
        for part, scores in (("forget", forget), ("holdout", holdout))
        for number, score in enumerate(scores)
    }
    return Figure(name=f"mia_{name}", value=value, rows=len(forget) + len(holdout), by_row=rows)


def _value(figures: Sequence[Figure], name: str) -> float | None:
    return next((one.value for one in figures if one.name == name), None)
