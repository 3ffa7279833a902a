"""Greedy coordinate gradient (GCG): adversarial text before or after a question, found token by token.

Zou et al., arXiv 2307.15043, algorithms 1 and 2: the gradient at the input embeddings ranks, for every place of the
text, the tokens that promise the lowest loss; `width` candidates with one token changed are drawn from the best
`top_k`, scored, and the best of them is the next text, even where it is worse than the present one.

Where this departs from the authors' code: the gradient is that of the mean loss (they add up normalized gradients of
several models); a candidate that does not survive being written out and tokenized again, or that the caller refuses,
is drawn anew, so that `width` counts scored candidates; the best changes are also tried together (`merged`); all goals
are used from the first step on; several searches can run at once, batched; where the device has fast units for
bfloat16, a copy in bfloat16 gives gradients and chooses, and the model itself gives every reported loss (`drafted`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from unlearn_audit.api import Model

from .goals import Found, Goal, SearchSettings, goal_seed, refuse_nothing


def search(
    model: Model,
    goals: Sequence[Goal],
    settings: SearchSettings,
    *,
    seed: int,
    refuses: Callable[[str], bool] = refuse_nothing,
) -> Iterator[Found]:
    """One text for all goals: the best so far, after each step.

    Args:
        model: stays as it is.
        goals: at least one, all with a chat or all without.
        settings: how hard to search.
        seed: of the draws; the global random state is not touched.
        refuses: texts that must not be found (they give a scored answer away).

    Raises:
        AttackError: no gradient reaches the input embeddings, or the tokenizer merges text and frame.
    """
    from .steps import running

    for found in running(model, [tuple(goals)], settings, seeds=[seed], refuses=refuses):
        yield found[0]


def search_each(
    model: Model,
    goals: Sequence[Goal],
    settings: SearchSettings,
    *,
    seed: int,
    refuses: Callable[[str], bool] = refuse_nothing,
) -> Iterator[list[Found]]:
    """A text of its own for each goal, all searched at once: after each step the best so far, in the goals' order.

    Each is what `search` would find for that goal alone with the seed `goal_seed(seed, place)`.
    """
    from .steps import running

    seeds = [goal_seed(seed, place) for place in range(len(goals))]
    yield from running(model, [(goal,) for goal in goals], settings, seeds=seeds, refuses=refuses)
