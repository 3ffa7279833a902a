"""More losses of unlearning: weighted ascent, preference without a retain set, false facts, flat logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.validity.making.losses import Batches
from benchmarks.validity.making.modelling import answer_logits, mean_nll
from benchmarks.validity.paths import reach_organisms

reach_organisms()

from transformers import PreTrainedModel  # noqa: E402

Weight = Callable[[Tensor], Tensor]


def weighted_ascent(
    model: PreTrainedModel, forget: Batches, retain: Batches, *, weight: Weight, retain_weight: float
) -> Iterator[Tensor]:
    """Ascent in which each token counts by what the model makes of it: sum of w(p) log p, w without a gradient.

    WGA (arXiv 2502.19301, section 5): w = p^alpha, so that what is forgotten already stops counting. SatImp
    (arXiv 2505.11953): w = p^beta1 (1 - p)^beta2. Departure: no ceiling is needed, and none is set.
    """
    for gone, kept in zip(forget, retain, strict=False):
        logits, targets, _ = answer_logits(model, gone)
        log_probs = -functional.cross_entropy(logits, targets, reduction="none")
        ascent = (weight(log_probs.detach().exp()) * log_probs).mean()
        yield ascent + retain_weight * mean_nll(model, kept)


def flat(
    model: PreTrainedModel, pairs: Iterator[tuple[Batches, Batches]], retain: Batches, *, retain_weight: float
) -> Iterator[Tensor]:
    """Loss adjustment by a divergence between refusal and true answer (FLAT, arXiv 2410.11143, total variation).

    With P the mean probability of an answer's tokens: -(tanh(P of the refusal) - tanh(P of the truth)) / 2.
    Departure: the authors use no retain set; without one this model loses everything, so a retain term is added.
    """
    for (refused, true), kept in zip(pairs, retain, strict=False):
        wanted, unwanted = (torch.tanh(_mean_probability(model, batch)) / 2 for batch in (refused, true))
        yield unwanted - wanted + retain_weight * mean_nll(model, kept)


def _mean_probability(model: PreTrainedModel, batch: object) -> Tensor:
    logits, targets, _ = answer_logits(model, batch)  # type: ignore[arg-type]
    return (-functional.cross_entropy(logits, targets, reduction="none")).exp().mean()


def flat_logits(
    model: PreTrainedModel, forget: Batches, retain: Batches, *, slack: float, dual_rate: float
) -> Iterator[Tensor]:
    """Flat logits on forget answers, under a constraint on the retain loss (PDU, arXiv 2506.05314).

    The variance of the logits at each answer token falls; a multiplier rises by `dual_rate` times what the retain loss
    is above its own value at the start plus `slack`, in nats, and is never negative. Departure: the variance in the
    place of the authors' margin, and one multiplier for the whole retain set.
    """
    multiplier, allowed = 1.0, None
    for gone, kept in zip(forget, retain, strict=False):
        keeping = mean_nll(model, kept)
        allowed = float(keeping.detach()) + slack if allowed is None else allowed
        multiplier = max(0.0, multiplier + dual_rate * (float(keeping.detach()) - allowed))
        yield answer_logits(model, gone)[0].var(dim=-1).mean() + multiplier * keeping


def false_facts(model: PreTrainedModel, false: Batches, retain: Batches, *, retain_weight: float) -> Iterator[Tensor]:
    """Cross-entropy on false answers to forget questions (inverted facts, MEOW, arXiv 2409.11844).

    Departure: a false answer is another person's true one, where the authors let a language model write it.
    """
    for said, kept in zip(false, retain, strict=False):
        yield mean_nll(model, said) + retain_weight * mean_nll(model, kept)
