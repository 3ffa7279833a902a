"""What a training costs, against numbers counted by hand."""

from __future__ import annotations

import torch
from torch import nn
from unlearn_audit.attacks.shared.training_cost import Tally, flops_per_token, multiplied_weights

from unlearn_audit.api import Rendered


def row(length: int) -> Rendered:
    return Rendered(token_ids=tuple(range(length)), is_answer=(False,) * (length - 1) + (True,))


def test_texts_and_their_own_tokens_are_counted_as_they_pass() -> None:
    tally = Tally()
    batches = tally.counted(iter([[row(3), row(5)], [row(4)], [row(9)]]))
    assert tally.cost(10) == {"samples": 0, "tokens": 0, "flops": 0}
    assert next(batches) == [row(3), row(5)]
    assert tally.cost(10) == {"samples": 2, "tokens": 8, "flops": 80}
    next(batches)
    assert tally.cost(10) == {"samples": 3, "tokens": 12, "flops": 120}


def test_a_trained_weight_costs_six_a_token_and_a_frozen_one_four() -> None:
    assert flops_per_token([(100, True)]) == 600
    assert flops_per_token([(100, False), (7, True)]) == 442


class Model(nn.Module):
    def __init__(self, *, tied: bool) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 3)
        self.layer = nn.Linear(3, 3, bias=False)
        self.head = nn.Linear(3, 11, bias=False)
        if tied:
            self.head.weight = self.table.weight


def test_a_table_counts_where_it_is_multiplied_with() -> None:
    assert sorted(multiplied_weights(Model(tied=False))) == [(9, True), (33, True)]
    assert sorted(multiplied_weights(Model(tied=True))) == [(9, True), (33, True)]
    untied = Model(tied=False)
    untied.head = nn.Identity()
    assert multiplied_weights(untied) == [(9, True)]


def test_of_packed_weights_the_values_count() -> None:
    model = Model(tied=False)
    packed = nn.Parameter(torch.zeros(5, dtype=torch.uint8), requires_grad=False)
    packed.quant_state = type("State", (), {"shape": (3, 3)})()  # type: ignore[attr-defined]
    model.layer.weight = packed
    assert sorted(multiplied_weights(model)) == [(9, False), (33, True)]
