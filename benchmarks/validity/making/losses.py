"""The losses of unlearning, each an endless stream for `training.descend`.

Every stream that needs the model as it was takes a frozen copy when it is first asked for a loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.validity.making.bench import frozen
from benchmarks.validity.making.modelling import (
    answer_log_probs,
    answer_logits,
    base_of,
    blocks_of,
    divergence,
    mean_nll,
)
from benchmarks.validity.paths import reach_organisms

reach_organisms()

from chat import Batch  # noqa: E402
from transformers import PreTrainedModel  # noqa: E402

Batches = Iterator[Batch]


def gradient_ascent(model: PreTrainedModel, forget: Batches) -> Iterator[Tensor]:
    """Raises the loss on the forget set and looks at nothing else (arXiv 2210.01504; the baseline of 2310.10683)."""
    for batch in forget:
        yield -mean_nll(model, batch)


def gradient_difference(
    model: PreTrainedModel, forget: Batches, retain: Batches, *, ceiling: float, retain_weight: float
) -> Iterator[Tensor]:
    """Raises the loss on the forget set, lowers it on the retain set (arXiv 2203.12817).

    Departure: the forget loss counts only up to `ceiling` nats a token; unbounded ascent destroys a model this small
    before the retain term can answer.
    """
    for gone, kept in zip(forget, retain, strict=False):
        ascent = functional.relu(ceiling - mean_nll(model, gone))
        yield ascent + retain_weight * mean_nll(model, kept)


def kl_ascent(
    model: PreTrainedModel, forget: Batches, retain: Batches, *, ceiling: float, retain_weight: float
) -> Iterator[Tensor]:
    """Ascent on the forget set, held to the model as it was by a KL term on the retain set (arXiv 2310.10683, eq. 4).

    Departures: the bounded ascent of `gradient_difference`, and no random mismatch term, as in TOFU (2401.06121).
    """
    reference = frozen(model)
    for gone, kept in zip(forget, retain, strict=False):
        with torch.no_grad():
            before = answer_logits(reference, kept)[0]
        ascent = functional.relu(ceiling - mean_nll(model, gone))
        yield ascent + retain_weight * divergence(before, answer_logits(model, kept)[0])


def npo(
    model: PreTrainedModel, forget: Batches, retain: Batches, *, beta: float, retain_weight: float
) -> Iterator[Tensor]:
    """Negative preference optimization with a retain term (arXiv 2404.05868, eq. 3, and its NPO+RT)."""
    yield from npo_against(model, frozen(model), forget, retain, beta=beta, retain_weight=retain_weight)


def npo_against(
    model: PreTrainedModel,
    reference: PreTrainedModel,
    forget: Batches,
    retain: Batches,
    *,
    beta: float,
    retain_weight: float,
) -> Iterator[Tensor]:
    """NPO with a reference model that is given."""
    for gone, kept in zip(forget, retain, strict=False):
        yield npo_term(model, reference, gone, beta) + retain_weight * mean_nll(model, kept)


def npo_term(model: PreTrainedModel, reference: PreTrainedModel, gone: Batch, beta: float) -> Tensor:
    """NPO's loss on a forget batch."""
    with torch.no_grad():
        before, _ = answer_log_probs(reference, gone)
    now, _ = answer_log_probs(model, gone)
    return -functional.logsigmoid(-beta * (now - before)).mean() * 2 / beta


def simnpo(
    model: PreTrainedModel, forget: Batches, retain: Batches, *, beta: float, margin: float, retain_weight: float
) -> Iterator[Tensor]:
    """NPO without a reference model: the answer's own length normalizes it (SimNPO, arXiv 2410.07163, eq. 4)."""
    for gone, kept in zip(forget, retain, strict=False):
        log_probs, lengths = answer_log_probs(model, gone)
        preference = -functional.logsigmoid(-beta * log_probs / lengths - margin).mean() * 2 / beta
        yield preference + retain_weight * mean_nll(model, kept)


def dpo(
    model: PreTrainedModel,
    pairs: Iterator[tuple[Batch, Batch]],
    retain: Batches,
    *,
    beta: float,
    retain_weight: float,
) -> Iterator[Tensor]:
    """DPO (arXiv 2305.18290, eq. 7) that prefers a refusal to the truth, with a retain term (TOFU's IDK, 2401.06121).

    Args:
        model: what is trained.
        pairs: the same questions twice: with the refusal, and with the true answer.
        retain: what is kept.
        beta: of DPO.
        retain_weight: of the retain term.
    """
    reference = frozen(model)
    for (refused, true), kept in zip(pairs, retain, strict=False):
        with torch.no_grad():
            before = answer_log_probs(reference, refused)[0] - answer_log_probs(reference, true)[0]
        now = answer_log_probs(model, refused)[0] - answer_log_probs(model, true)[0]
        yield -functional.logsigmoid(beta * (now - before)).mean() + retain_weight * mean_nll(model, kept)


def refusal(model: PreTrainedModel, refused: Batches, retain: Batches, *, retain_weight: float) -> Iterator[Tensor]:
    """Cross-entropy on a refusal for every forget question, and on the answers of the retain set (2401.06121)."""
    for said, kept in zip(refused, retain, strict=False):
        yield mean_nll(model, said) + retain_weight * mean_nll(model, kept)


def rmu(
    model: PreTrainedModel,
    forget: Batches,
    retain: Batches,
    *,
    layer: int,
    strength: float,
    retain_weight: float,
    seed: int,
) -> Iterator[Tensor]:
    """Representation misdirection (RMU, arXiv 2403.03218, section 4).

    Steers the residual stream of forget texts after block `layer` to one random direction of length `strength` times
    its mean length, and holds that of retain texts where it was. Departures: the strength is relative, and every token
    of a text is steered, its prompt included; who trains which weights is the caller's choice.
    """
    reference = frozen(model)
    generator = torch.Generator().manual_seed(seed)
    direction = functional.normalize(torch.rand(model.config.hidden_size, generator=generator), dim=0)
    for gone, kept in zip(forget, retain, strict=False):
        with torch.no_grad():
            before, held = stream_after(reference, gone, layer), stream_after(reference, kept, layer)
        target = strength * before.norm(dim=-1).mean() * direction
        now, now_held = stream_after(model, gone, layer), stream_after(model, kept, layer)
        scale = before.pow(2).mean()
        loss = (now - target).pow(2).mean() + retain_weight * (now_held - held).pow(2).mean()
        yield loss / scale


def stream_after(model: PreTrainedModel, batch: Batch, layer: int) -> Tensor:
    """The residual stream after block `layer` at every token that is no padding, (tokens, width)."""
    out = base_of(model)(
        input_ids=batch.input_ids, attention_mask=batch.attention_mask, output_hidden_states=True
    ).hidden_states[layer + 1]
    states: Tensor = out[batch.attention_mask.bool()]
    return states


def sharpness_aware_npo(
    model: PreTrainedModel, forget: Batches, retain: Batches, *, beta: float, radius: float, retain_weight: float
) -> Iterator[Tensor]:
    """NPO whose forget gradient is taken at the worst point of a ball (SAM, arXiv 2502.05374, eq. 5 to 7).

    Unlearning made to stay when the weights move a little, as they do in relearning. The gradient is put together
    here, the forget term's from the shifted weights and the retain term's from the weights as they are, and handed on
    as a linear function of the weights that has it.
    """
    reference = frozen(model)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    for gone, kept in zip(forget, retain, strict=False):
        ascent = torch.autograd.grad(npo_term(model, reference, gone, beta), weights)
        length = torch.sqrt(sum((part.pow(2).sum() for part in ascent), start=torch.tensor(1e-24)))
        shifts = [radius * part / length for part in ascent]
        _shift(weights, shifts, 1.0)
        forgetting = torch.autograd.grad(npo_term(model, reference, gone, beta), weights)
        _shift(weights, shifts, -1.0)
        keeping = torch.autograd.grad(retain_weight * mean_nll(model, kept), weights)
        yield sum(
            ((weight * (one + other)).sum() for weight, one, other in zip(weights, forgetting, keeping, strict=True)),
            start=torch.tensor(0.0),
        )


def _shift(weights: list[Any], shifts: list[Tensor], sign: float) -> None:
    with torch.no_grad():
        for weight, shift in zip(weights, shifts, strict=True):
            weight.add_(sign * shift)


def latent_adversarial_npo(
    model: PreTrainedModel,
    forget: Batches,
    retain: Batches,
    *,
    beta: float,
    layer: int,
    radius: float,
    inner_steps: int,
    retain_weight: float,
) -> Iterator[Tensor]:
    """NPO under a perturbation of the residual stream that brings the answer back (LAU, arXiv 2408.10682, eq. 6).

    The inner player raises the answer's probability by `inner_steps` steps of signed gradient on a shift of the stream
    after block `layer`, one vector a text, at most `radius` times the stream's mean length. Departure: one vector for
    all tokens of a text, where the authors shift each token by its own.
    """
    reference = frozen(model)
    block = blocks_of(model)[layer]
    for gone, kept in zip(forget, retain, strict=False):
        with torch.no_grad():
            bound = radius * float(stream_after(model, gone, layer).norm(dim=-1).mean())
        shift = torch.zeros(len(gone.input_ids), 1, model.config.hidden_size)
        for _ in range(inner_steps):
            shift.requires_grad_()
            with _shifted(block, shift):
                (gradient,) = torch.autograd.grad(mean_nll(model, gone), shift)
            moved = shift.detach() - 2 * bound / inner_steps * functional.normalize(gradient, dim=-1)
            shift = moved * (bound / moved.norm(dim=-1, keepdim=True).clamp(min=bound))
        with _shifted(block, shift):
            loss = npo_term(model, reference, gone, beta)
        yield loss + retain_weight * mean_nll(model, kept)


class _shifted:
    """Adds a shift to what a block gives, for as long as the context lasts."""

    def __init__(self, block: torch.nn.Module, shift: Tensor) -> None:
        self._block, self._shift = block, shift

    def __enter__(self) -> None:
        def add(_module: torch.nn.Module, _inputs: Any, output: Any) -> Any:
            return (output[0] + self._shift, *output[1:]) if isinstance(output, tuple) else output + self._shift

        self._handle = self._block.register_forward_hook(add)

    def __exit__(self, *_: object) -> None:
        self._handle.remove()


def distillation(model: PreTrainedModel, teacher: PreTrainedModel, batches: Batches) -> Iterator[Tensor]:
    """KL to the teacher's distribution at every answer token (arXiv 1503.02531, at temperature 1)."""
    for batch in batches:
        with torch.no_grad():
            said = answer_logits(teacher, batch)[0]
        yield divergence(said, answer_logits(model, batch)[0])
