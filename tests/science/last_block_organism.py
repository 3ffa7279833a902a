"""An organism that is unlearned in its last block alone: what stands before that block knows as much as ever."""

from __future__ import annotations

from functools import cache
from itertools import cycle

import torch

from tests.science.organisms import bundled
from unlearn_audit.api import Fact, FactSet, Model, Prompt
from unlearn_audit.demo import ASSETS
from unlearn_audit.facts.load import load_facts
from unlearn_audit.plan.stand_ins import sham_facts

STEPS, BATCH, RATE = 30, 48, 5e-3


@cache
def unlearned_in_the_last_block() -> Model:
    """The original, its last block and final norm trained to give other subjects' answers to the forget questions."""
    forget = load_facts(str(ASSETS / "facts" / "forget.jsonl"), FactSet.FORGET).facts
    retain = load_facts(str(ASSETS / "facts" / "retain.jsonl"), FactSet.RETAIN).facts
    with bundled("original").fork(copy_weights=True) as fork, torch.random.fork_rng():
        torch.manual_seed(0)
        module = fork.module.requires_grad_(False)
        trained = [*module.model.layers[-1].parameters(), *module.model.norm.parameters()]
        optimizer = torch.optim.AdamW([parameter.requires_grad_() for parameter in trained], lr=RATE)
        wrong, kept = _texts(fork, sham_facts(forget, seed=0)), _texts(fork, retain)
        for _, batch in zip(range(STEPS), cycle(_batches(wrong, kept)), strict=False):
            optimizer.zero_grad()
            _loss(fork, batch).backward()
            optimizer.step()
        module.requires_grad_(False)
        return fork


def _texts(model: Model, facts: tuple[Fact, ...]) -> list[tuple[list[int], list[bool]]]:
    rows = [model.render(Prompt(text=fact.question or ""), fact.answer or "") for fact in facts]
    return [(list(row.token_ids), list(row.is_answer)) for row in rows]


def _batches(wrong: list, kept: list) -> list[list]:
    """Three wrong answers beside one that is kept."""
    order = torch.randperm(len(wrong)).tolist()
    share = 3 * BATCH // 4
    return [
        [wrong[place] for place in order[start : start + share]] + kept[start : start + BATCH - share]
        for start in range(0, len(order), share)
    ]


def _loss(model: Model, batch: list[tuple[list[int], list[bool]]]) -> torch.Tensor:
    width = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row, _ in batch])
    labels = torch.tensor(
        [
            [t if own else -100 for t, own in zip(row, marks, strict=True)] + [-100] * (width - len(row))
            for row, marks in batch
        ]
    )
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row, _ in batch])
    return model.module(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
