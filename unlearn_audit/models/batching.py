"""Work in batches: sorted by length, cut under a token budget, halved when memory runs out, never done twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, TypeVar

from unlearn_audit.api.kit.memory import is_out_of_memory, release_memory
from unlearn_audit.errors import AuditError

Item = TypeVar("Item")
Answer = TypeVar("Answer")
_CONTEXTS = ("max_position_embeddings", "n_positions", "max_seq_len")
"""Under which settings name how much they read; most architectures map their own name to the first."""


@dataclass
class Budget:
    """How many tokens (padding included) a batch may hold; halved when memory runs out, and each time noted.

    Attributes:
        told: is called after each batch with how many items of its list are done, and how many there are.
    """

    tokens: int
    events: list[str] = field(default_factory=list)
    told: Callable[[int, int], None] | None = None

    def halve(self, rows: int) -> None:
        """Halves the budget after a batch of `rows` rows did not fit.

        Raises:
            AuditError: a single row does not fit.
        """
        if rows <= 1:
            raise AuditError("out of memory on a single prompt; use a smaller dtype or another --device")
        self.tokens = max(1, self.tokens // 2)
        self.events.append(f"out of memory: token budget halved to {self.tokens}")


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices in batches of similar length, longest first, each at most `budget` padded tokens (or one row)."""
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    while order:
        rows = max(1, budget // max(1, lengths[order[0]]))
        yield order[:rows]
        order = order[rows:]


def run_batched(
    items: Sequence[Item],
    lengths: Sequence[int],
    budget: Budget,
    run: Callable[[list[Item]], list[Answer]],
) -> list[Answer]:
    """Runs all items in batches, halving on out-of-memory; answers in the order of the items."""
    answers: dict[int, Answer] = {}
    while len(answers) < len(items):  # a second time only after the budget was halved
        todo = [index for index in range(len(items)) if index not in answers]
        for places in batches([lengths[index] for index in todo], budget.tokens):
            rows = [todo[place] for place in places]
            try:
                found = run([items[index] for index in rows])
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                release_memory()
                budget.halve(len(rows))
                break
            answers.update(zip(rows, found, strict=True))
            if budget.told is not None:
                budget.told(len(answers), len(items))
    return [answers[index] for index in range(len(items))]


def run_by_length(
    items: Sequence[Item],
    lengths: Sequence[int],
    budget: Budget,
    run: Callable[[list[Item]], list[Answer]],
) -> list[Answer]:
    """As `run_batched`, but only items of one length share a batch, so that none is padded."""
    answers: dict[int, Answer] = {}
    for length in sorted(set(lengths)):
        same = [index for index, own in enumerate(lengths) if own == length]
        found = run_batched([items[index] for index in same], [length] * len(same), budget, run)
        answers.update(zip(same, found, strict=True))
    return [answers[index] for index in range(len(items))]


class Memory(Generic[Item, Answer]):
    """Answers given before; lives for one dose, so that probes that ask the same thing share a pass."""

    def __init__(self) -> None:
        self._known: dict[Item, Answer] = {}

    def complete(self, items: Sequence[Item], compute: Callable[[list[Item]], list[Answer]]) -> list[Answer]:
        """The answers to all items, computing the new ones once each."""
        new = [item for item in dict.fromkeys(items) if item not in self._known]
        self._known.update(zip(new, compute(new), strict=True))
        return [self._known[item] for item in items]

    def __len__(self) -> int:
        """How many answers there are."""
        return len(self._known)

    def since(self, count: int) -> list[tuple[Item, Answer]]:
        """The answers that came after the first `count`."""
        return list(islice(self._known.items(), count, None))

    def learn(self, answers: Iterable[tuple[Item, Answer]]) -> None:
        """Takes over answers that were given elsewhere."""
        self._known.update(answers)


def by_room(rows: Sequence[Sequence[int]], wanted: int, context: int | None) -> dict[int, list[int]]:
    """Most new tokens -> the places of the prompts after which so many fit; 0 for those that are too long themselves.

    Args:
        rows: prompts as token ids.
        wanted: most new tokens.
        context: most tokens that the model reads, prompt and answer together; None for no limit.
    """
    places: dict[int, list[int]] = {}
    for place, row in enumerate(rows):
        room = wanted if context is None else max(0, min(wanted, context - len(row)))
        places.setdefault(room, []).append(place)
    return places


def too_long(tokens: int, context: int | None) -> str:
    """Why a prompt is not read, for a reader."""
    return f"{tokens} tokens, longer than the {context} that the model reads"


def context_of(config: Any) -> int | None:
    """Most tokens that an architecture reads at a time, by its settings; None where they name no limit."""
    of_text = getattr(config, "get_text_config", None)
    own = of_text() if callable(of_text) else config
    found = next((value for name in _CONTEXTS if (value := getattr(own, name, None)) is not None), None)
    return found if isinstance(found, int) and found > 0 else None
