"""Which short cuts an engine may take with a model: each is tried once, and must give the model's plain numbers."""

from __future__ import annotations

from dataclasses import replace

import torch

from unlearn_audit.api import Prompt
from unlearn_audit.api.kit.training.openings import shared_length
from unlearn_audit.api.kit.training.trials import CANNOT
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.shared_prefix import group_rows, score_groups
from unlearn_audit.models.writing.openings import with_logits

TOLERANCE = {torch.float32: 1e-3}
HALF_TOLERANCE = 0.1
"""Largest difference of logits, as a share of the largest, at which two ways of computing them agree. In half precision
rounding alone moves the logits of 30 layers by 3 % of the largest; a model that sees the padding answers something else
altogether."""

QUESTION, SHORT = Prompt(text="What is the capital of France?"), Prompt(text="Who?")


@torch.inference_mode()
def with_short_cuts(engine: Engine) -> Engine:
    """The engine with every short cut that this model allows."""
    engine = with_checked_padding(engine)
    engine = replace(engine, shares_prefixes=engine.left_padding and may_share_prefixes(engine))
    return replace(
        engine,
        repeats_prompts=engine.shares_prefixes and may_repeat_prompts(engine),
        shares_openings=engine.shares_prefixes and may_share_openings(engine),
        rows_leave=engine.left_padding and rows_may_leave(engine),
    )


@torch.inference_mode()
def with_checked_padding(engine: Engine) -> Engine:
    """With left padding off where the model answers differently behind it (some recurrent ones do)."""
    row = engine.renderer.prompt_ids(QUESTION)
    alone = torch.tensor([row], device=engine.device)
    padded = torch.tensor([[engine.pad_id] * 5 + row], device=engine.device)
    mask = torch.tensor([[0] * 5 + [1] * len(row)], device=engine.device)
    config = with_logits(engine.greedy(1))
    generate = engine.module.generate
    plain = generate(input_ids=alone, attention_mask=torch.ones_like(alone), generation_config=config)  # type: ignore[operator]
    behind = generate(input_ids=padded, attention_mask=mask, generation_config=config)  # type: ignore[operator]
    gap = (plain.logits[0].float() - behind.logits[0].float()).abs().max()
    scale = plain.logits[0].float().abs().max().clamp(min=1.0)
    if bool(gap <= tolerance(engine) * scale):
        return engine
    engine.budget.events.append("left padding changes this model's answers: prompts are batched by equal length")
    return replace(engine, left_padding=False)


def may_share_prefixes(engine: Engine) -> bool:
    """Whether answers scored behind a shared prompt get their plain scores."""
    answers = {QUESTION: ("Paris, I say", "Paris, she says so"), SHORT: ("Paris", "It is a long answer", "No")}
    pairs = [(question, answer) for question, own in answers.items() for answer in own]
    rendered = [engine.renderer.render(prompt, answer) for prompt, answer in pairs]
    groups = group_rows([prompt for prompt, _ in pairs], rendered, engine.budget.tokens)
    if any(group.shared == 0 for group in groups):
        return False
    try:
        shared = score_groups(engine.module, groups, engine.pad_id, engine.device)
    except CANNOT:
        return False
    plain = engine.score_rows(rendered)
    return all(
        abs(one - two) <= tolerance(engine) * max(1.0, abs(two))
        for group, scores in zip(groups, shared, strict=True)
        for place, score in zip(group.places, scores, strict=True)
        for one, two in zip(score.log_probs, plain[place].log_probs, strict=True)
    )


def may_repeat_prompts(engine: Engine) -> bool:
    """Whether answers that go on from a repeated cache are those behind the prompt itself."""
    rows = [engine.renderer.prompt_ids(prompt) for prompt in (QUESTION, SHORT)]
    return engine.sampler(engine.greedy(2), 0.0).agrees(rows, tolerance(engine))


def may_share_openings(engine: Engine) -> bool:
    """Whether prompts that go on from one cache, padded behind it, are answered as those that are read whole."""
    asked = [f"What is the capital of France, if you please, and of {land}?" for land in ("Spain", "Great Britain")]
    rows = [engine.renderer.prompt_ids(Prompt(text=text)) for text in asked]
    return engine.continuation(2).agrees(rows, shared_length(*rows), tolerance(engine))


def rows_may_leave(engine: Engine) -> bool:
    """Whether the answers of a batch stay what they are where a row leaves it."""
    rows = [engine.renderer.prompt_ids(prompt) for prompt in (SHORT, QUESTION, SHORT)]
    return engine.continuation(3).leaves_alike(rows, tolerance(engine))


def tolerance(engine: Engine) -> float:
    """How far logits may differ, as a share of the largest."""
    return TOLERANCE.get(engine.module_dtype, HALF_TOLERANCE)
