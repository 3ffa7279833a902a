"""Greedy texts of a model, from prompts that are texts or tokens. They are measured and never kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unlearn_audit.models.engine import Engine


def continued(engine: Engine, token_ids: Sequence[int], new_tokens: int) -> str:
    """What the model says greedily behind some tokens, without special tokens."""
    import torch

    ids = torch.tensor([list(token_ids)], device=engine.device)
    with torch.inference_mode():
        out = engine.module.generate(  # type: ignore[operator]
            input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=engine.greedy(new_tokens)
        )
    return str(engine.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))


def continued_text(engine: Engine, prompt: str, new_tokens: int) -> str:
    """The same behind a text, with the special tokens that the tokenizer adds."""
    return continued(engine, list(engine.tokenizer(prompt)["input_ids"]), new_tokens)


def log_probability(engine: Engine, prompt: Sequence[int], continuation: Sequence[int]) -> float:
    """Summed log-probability of a continuation, in nats."""
    import torch

    with torch.inference_mode():
        logits = engine.logits_of([*prompt, *continuation])[len(prompt) - 1 : -1].double()
        rows = torch.log_softmax(logits, dim=-1)
    return float(sum(rows[place, token] for place, token in enumerate(continuation)))
