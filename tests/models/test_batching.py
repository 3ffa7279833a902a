"""Batches are cut once for a budget, cut again after a halving, and nothing is run twice."""

from __future__ import annotations

import pytest
import torch

from unlearn_audit.errors import AuditError
from unlearn_audit.models.batching import Budget, run_batched

LENGTHS = [5, 20, 10, 10, 3]
ITEMS = ["a", "b", "c", "d", "e"]


def upper(rows):
    return [row.upper() for row in rows]


def test_answers_come_in_the_order_of_the_items_and_batches_longest_first():
    seen = []
    answers = run_batched(ITEMS, LENGTHS, Budget(tokens=20), lambda rows: seen.append(rows) or upper(rows))
    assert answers == ["A", "B", "C", "D", "E"]
    assert seen == [["b"], ["c", "d"], ["a", "e"]]


@pytest.mark.parametrize(
    "raised", [torch.OutOfMemoryError("no"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_batch_that_does_not_fit_is_halved_and_what_is_done_stays_done(raised):
    budget, seen = Budget(tokens=40), []

    def run(rows):
        seen.append(rows)
        if rows == ["d", "a", "e"]:
            raise raised
        return upper(rows)

    # 40 tokens: [b, c], then [d, a, e] fails; 20 tokens: [d, a], [e].
    assert run_batched(ITEMS, LENGTHS, budget, run) == ["A", "B", "C", "D", "E"]
    assert seen == [["b", "c"], ["d", "a", "e"], ["d", "a"], ["e"]]
    assert (budget.tokens, len(budget.events)) == (20, 1)


def test_what_is_no_lack_of_memory_is_raised_as_it_is():
    def run(rows):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        run_batched(ITEMS, LENGTHS, Budget(tokens=40), run)


def test_one_row_that_does_not_fit_is_an_error_that_says_what_to_try():
    def run(rows):
        raise torch.OutOfMemoryError("no")

    with pytest.raises(AuditError, match="smaller dtype"):
        run_batched(ITEMS, LENGTHS, Budget(tokens=40), run)


def test_nothing_to_do_runs_nothing():
    assert run_batched([], [], Budget(tokens=40), upper) == []
