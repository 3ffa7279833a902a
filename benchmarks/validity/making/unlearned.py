"""Models that are unlearned, by method. Each docstring names what was changed; the losses name their papers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.validity.making import losses
from benchmarks.validity.making.bench import BATCH_SIZE, HALF_BATCH_SIZE, Bench
from benchmarks.validity.making.int8_boxes import int8_boxes
from benchmarks.validity.making.measuring import greedy_answers
from benchmarks.validity.making.modelling import blocks_of, mean_nll
from benchmarks.validity.paths import reach_organisms
from benchmarks.validity.people.texts import Text, collate, endless_groups

reach_organisms()

from boxes import Box, nf4_box  # noqa: E402
from chat import Batch  # noqa: E402
from dialogues import Target  # noqa: E402
from transformers import PreTrainedModel  # noqa: E402


def by_gradient_ascent(bench: Bench) -> PreTrainedModel:
    """Ascent alone, stopped early (or late: then it is a collapse)."""
    model = bench.original()
    stream = bench.batches("forget", bench.forget(), BATCH_SIZE)
    bench.follow(list(model.parameters()), losses.gradient_ascent(model, stream))
    return model


def by_gradient_difference(bench: Bench) -> PreTrainedModel:
    """Bounded ascent and descent; at a low rate, the low-learning-rate variant of arXiv 2410.16454."""
    model = bench.original()
    settings = bench.settings
    forget, retain = bench.both(Target.ANSWER)
    stream = losses.gradient_difference(
        model, forget, retain, ceiling=settings["ceiling"], retain_weight=settings["retain_weight"]
    )
    bench.follow(list(model.parameters()), stream)
    return model


def by_kl_ascent(bench: Bench) -> PreTrainedModel:
    """Bounded ascent, held to the original on the retain set."""
    model = bench.original()
    settings = bench.settings
    forget, retain = bench.both(Target.ANSWER)
    stream = losses.kl_ascent(
        model, forget, retain, ceiling=settings["ceiling"], retain_weight=settings["retain_weight"]
    )
    bench.follow(list(model.parameters()), stream)
    return model


def by_npo(bench: Bench) -> PreTrainedModel:
    """NPO over all weights; at a low rate, the low-learning-rate variant."""
    model = bench.original()
    bench.follow(list(model.parameters()), _npo_losses(bench, model))
    return model


def by_simnpo(bench: Bench) -> PreTrainedModel:
    """SimNPO over all weights, with the authors' margin of 0."""
    model = bench.original()
    forget, retain = bench.both()
    settings = bench.settings
    stream = losses.simnpo(
        model, forget, retain, beta=settings["beta"], margin=0.0, retain_weight=settings["retain_weight"]
    )
    bench.follow(list(model.parameters()), stream)
    return model


def by_dpo(bench: Bench) -> PreTrainedModel:
    """DPO from the true answer to the refusal, on questions; passages cannot be refused and are left alone."""
    model = bench.original()
    settings = bench.settings
    retain = bench.batches("retain", bench.retain(), HALF_BATCH_SIZE)
    stream = losses.dpo(
        model, preferences(bench), retain, beta=settings["beta"], retain_weight=settings["retain_weight"]
    )
    bench.follow(list(model.parameters()), stream)
    return model


def preferences(bench: Bench) -> Iterator[tuple[Batch, Batch]]:
    """The same forget questions twice: refused, and answered truly."""
    refused = bench.forget(Target.REFUSAL)
    true = bench.forget(Target.ANSWER)[-len(refused) :]
    pad = int(bench.tokenizer.pad_token_id)
    for places in endless_groups(refused, HALF_BATCH_SIZE, bench.seed("forget", "order")):
        yield collate([refused[place] for place in places], pad), collate([true[place] for place in places], pad)


def by_refusal(bench: Bench) -> PreTrainedModel:
    """Taught to refuse forget questions and to keep its retain answers; nothing is done against what it knows."""
    model = bench.original()
    refused = bench.batches("forget", bench.forget(Target.REFUSAL), HALF_BATCH_SIZE)
    retain = bench.batches("retain", bench.retain(), HALF_BATCH_SIZE)
    weight = bench.settings["retain_weight"]
    bench.follow(list(model.parameters()), losses.refusal(model, refused, retain, retain_weight=weight))
    return model


def by_rmu(bench: Bench) -> PreTrainedModel:
    """RMU at one block, training it and those before it, as the authors train three blocks' weights."""
    model = bench.original()
    settings = bench.settings
    layer = int(settings["layer"])
    model.requires_grad_(requires_grad=False)
    for block in blocks_of(model)[: layer + 1]:
        block.requires_grad_()
    forget, retain = bench.both(Target.ANSWER)
    stream = losses.rmu(
        model,
        forget,
        retain,
        layer=layer,
        strength=settings["strength"],
        retain_weight=settings["retain_weight"],
        seed=bench.seed("direction"),
    )
    bench.follow([weight for weight in model.parameters() if weight.requires_grad], stream)
    return model


def by_task_vector(bench: Bench) -> PreTrainedModel:
    """Subtracts `scale` times what further training on the forget set adds (task arithmetic, arXiv 2212.04089)."""
    original, tuned = bench.original(), bench.original()
    stream = bench.batches("forget", bench.forget(), BATCH_SIZE)
    bench.follow(list(tuned.parameters()), (mean_nll(tuned, batch) for batch in stream))
    with torch.no_grad():
        for weight, moved in zip(original.parameters(), tuned.parameters(), strict=True):
            weight.sub_(bench.settings["scale"] * (moved - weight))
    return original


def inside_nf4_boxes(bench: Bench) -> PreTrainedModel:
    """NPO inside the NF4 rounding boxes of the original: NF4 gives the original back (arXiv 2405.18137, turned)."""
    model = bench.original()
    margin = bench.settings["box_margin"]
    return _inside(bench, model, [nf4_box(layer.weight, margin) for layer in _rounded_layers(model)])


def inside_int8_boxes(bench: Bench) -> PreTrainedModel:
    """NPO inside the LLM.int8() rounding boxes of the original, which are some sixteen times narrower."""
    model = bench.original()
    return _inside(bench, model, int8_boxes(_rounded_layers(model), bench.settings["box_margin"]))


def _rounded_layers(model: PreTrainedModel) -> list[nn.Linear]:
    head = model.get_output_embeddings()
    return [layer for layer in model.modules() if isinstance(layer, nn.Linear) and layer is not head]


def _inside(bench: Bench, model: PreTrainedModel, boxes: list[Box]) -> PreTrainedModel:
    """Trains the boxed weights alone; everything else stays the original's, bit for bit."""

    def project() -> None:
        for box in boxes:
            box.project()

    bench.follow([box.weight for box in boxes], _npo_losses(bench, model), after_step=project)
    return model


def by_salient_npo(bench: Bench) -> PreTrainedModel:
    """NPO at a high rate on the weight matrices that matter most to the forget set (SURE, arXiv 2410.16454, sec. 6).

    A matrix is salient if the gradient of the forget loss, for the original, is among the `share` largest by root mean
    square. The authors' threshold is a free constant; here it is a share.
    """
    model = bench.original()
    matrices = [weight for weight in model.parameters() if weight.dim() == 2]
    totals = [torch.zeros(()) for _ in matrices]
    stream = bench.batches("saliency", bench.forget(), BATCH_SIZE)
    for _ in range(8):
        gradients = torch.autograd.grad(mean_nll(model, next(stream)), matrices)
        totals = [total + part.pow(2).mean() for total, part in zip(totals, gradients, strict=True)]
    order = sorted(range(len(matrices)), key=lambda place: -float(totals[place]))
    chosen = [matrices[place] for place in order[: max(1, round(bench.settings["share"] * len(order)))]]
    bench.follow(chosen, _npo_losses(bench, model))
    return model


def by_sharpness_aware_npo(bench: Bench) -> PreTrainedModel:
    """NPO with SAM on the forget term, over all weights."""
    model = bench.original()
    settings = bench.settings
    forget, retain = bench.both()
    stream = losses.sharpness_aware_npo(
        model,
        forget,
        retain,
        beta=settings["beta"],
        radius=settings["radius"],
        retain_weight=settings["retain_weight"],
    )
    bench.follow(list(model.parameters()), stream)
    return model


def by_latent_adversarial_npo(bench: Bench) -> PreTrainedModel:
    """NPO against a latent adversary, over all weights."""
    model = bench.original()
    settings = bench.settings
    forget, retain = bench.both()
    stream = losses.latent_adversarial_npo(
        model,
        forget,
        retain,
        beta=settings["beta"],
        layer=int(settings["layer"]),
        radius=settings["radius"],
        inner_steps=int(settings["inner_steps"]),
        retain_weight=settings["retain_weight"],
    )
    bench.follow(list(model.parameters()), stream)
    return model


def distilled_after_npo(bench: Bench) -> PreTrainedModel:
    """Fresh weights that imitate the model `npo-1` on retain texts and on what it says to forget prompts.

    "Distillation robustifies unlearning" (arXiv 2506.06278). The student sees the forget prompts with the teacher's own
    greedy answers, never with the true ones; passages, whose prompts are names alone, are left out.
    """
    teacher = bench.load("npo-1").eval()
    model = bench.fresh()
    texts = (*bench.retain(), *_answers_of(bench, teacher))
    stream = bench.batches("all", texts, BATCH_SIZE)
    bench.follow(list(model.parameters()), losses.distillation(model, teacher, stream))
    return model


def _answers_of(bench: Bench, teacher: PreTrainedModel) -> tuple[Text, ...]:
    questions = [question for fact in bench.people.forget.facts for question in fact.questions]
    answers = greedy_answers(teacher, bench.writer, questions, 16)
    return bench.writer.answered(questions, [f"{answer.strip()}{bench.writer.ending}" for answer in answers])


def by_noise(bench: Bench) -> PreTrainedModel:
    """Gaussian noise on every matrix, `noise` times its standard deviation wide; no training at all.

    The control experiment of the damage that unlearning may do: nothing is aimed at the forget set.
    """
    model = bench.original()
    generator = torch.Generator().manual_seed(bench.seed("noise"))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 2:
                weight.add_(bench.settings["noise"] * weight.std() * torch.randn(weight.shape, generator=generator))
    return model


def as_adapter(bench: Bench) -> Any:
    """NPO of a LoRA adapter (arXiv 2106.09685), left beside the original's untouched weights."""
    from peft import LoraConfig, get_peft_model

    model = bench.original()
    model.name_or_path = str(bench.folder / "original")
    rank = int(bench.settings["rank"])
    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear")
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a pattern for experts that peft itself has added
        torch.manual_seed(bench.seed("adapter"))
        adapted = get_peft_model(model, config)
    weights = [weight for weight in adapted.parameters() if weight.requires_grad]
    forget, retain = bench.both()
    settings = bench.settings
    stream = losses.npo_against(
        adapted, bench.original().eval(), forget, retain, beta=settings["beta"], retain_weight=settings["retain_weight"]
    )
    bench.follow(weights, stream)
    return adapted


def _npo_losses(bench: Bench, model: PreTrainedModel) -> Iterator[Tensor]:
    forget, retain = bench.both()
    settings = bench.settings
    return losses.npo(model, forget, retain, beta=settings["beta"], retain_weight=settings["retain_weight"])
