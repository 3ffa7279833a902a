"""What a model says behind texts or tokens, and how likely it finds what stands there: all rows in batches.

Texts are measured and never kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from unlearn_audit.api.kit.training.openings import FEWEST_SHARED, shared_opening
from unlearn_audit.api.user_files import LARGEST_SETTINGS, is_there, read_json
from unlearn_audit.errors import AuditError
from unlearn_audit.models.batching import run_batched

if TYPE_CHECKING:
    import torch

    from unlearn_audit.models.engine import Engine
    from unlearn_audit.models.references import Checkpoint

T = TypeVar("T")


def continued(
    engine: Engine,
    rows: Sequence[Sequence[int]],
    new_tokens: int,
    stops: Sequence[str] = (),
    *,
    tidy: bool | None = True,
    ends: frozenset[int] | None = None,
) -> list[str]:
    """What the model says greedily behind each row of tokens, without special tokens.

    An end token ends it; a line break does not, as it does where the audit asks a model without a chat template.
    With `ends`, an answer is what open-unlearning takes for it: an end token that is no special one is part of the
    text, and the text is cut where it spells the tokenizer's end token.

    Args:
        engine: the model.
        rows: of tokens.
        new_tokens: at most.
        stops: further tokens of the vocabulary that end it.
        tidy: whether blanks before punctuation are dropped from the text; None: as the tokenizer has it.
        ends: tokens that end it in place of the audit's.
    """
    import torch

    named = (engine.tokenizer.convert_tokens_to_ids(stop) for stop in stops)
    own = engine.stops.ends if ends is None else ends
    cut = own | {token for token in named if isinstance(token, int)}
    behind = engine.continuation(new_tokens)
    behind = replace(behind, stops=replace(behind.stops, ends=cut, line_breaks=frozenset()))
    behind.config.eos_token_id = sorted(cut) or None

    def run(some: list[Sequence[int]]) -> list[str]:
        with torch.inference_mode():
            found = behind.new_ids(some, 0)
            if ends is None:
                return [_said(engine, new_ids, cut, tidy) for new_ids in found]
            return [_said_as_shipped(engine, new_ids, cut, tidy) for new_ids in found]

    return engine.in_batches(list(rows), [len(row) + new_tokens for row in rows], run)


def _said(engine: Engine, new_ids: list[int], ends: frozenset[int], tidy: bool | None) -> str:
    end = next((place for place, token in enumerate(new_ids) if token in ends), len(new_ids))
    return str(engine.tokenizer.decode(new_ids[:end], skip_special_tokens=True, clean_up_tokenization_spaces=tidy))


def _said_as_shipped(engine: Engine, new_ids: list[int], ends: frozenset[int], tidy: bool | None) -> str:
    place = next((place for place, token in enumerate(new_ids) if token in ends), len(new_ids))
    text = _said(engine, new_ids[: place + 1], frozenset(), tidy)
    eos = engine.tokenizer.eos_token_id
    mark = "" if eos is None else str(engine.tokenizer.decode([eos]))
    return text.partition(mark)[0] if mark else text


def ends_as_shipped(checkpoint: Checkpoint, engine: Engine) -> frozenset[int]:
    """The tokens at which `generate` ends an answer if nothing else is said: those that the checkpoint names.

    They are `eos_token_id` of generation_config.json, or of the configuration where that file is absent or cannot be
    read. Nothing else is taken from it, and no token that the tokenizer does not have. Where the file names none,
    nothing ends an answer but its limit.

    Args:
        checkpoint: of an adapter its base is asked, which is what `generate` follows there.
        engine: the model.
    """
    if checkpoint.base is not None:
        return ends_as_shipped(checkpoint.base, engine)
    found = getattr(getattr(engine.module, "config", None), "eos_token_id", None)
    path = checkpoint.path / "generation_config.json"
    if is_there(path):
        with suppress(AuditError):
            settings = read_json(path, LARGEST_SETTINGS)
            found = settings.get("eos_token_id") if isinstance(settings, dict) else found
    several = found if isinstance(found, list) else [found]
    size = len(engine.tokenizer)
    return frozenset(one for one in several if type(one) is int and 0 <= one < size)


def continued_texts(engine: Engine, prompts: Sequence[str], new_tokens: int) -> list[str]:
    """The same behind texts, with the special tokens that the tokenizer adds."""
    return continued(engine, [list(engine.tokenizer(prompt)["input_ids"]) for prompt in prompts], new_tokens)


@dataclass(frozen=True, kw_only=True)
class Read:
    """Tokens of which those from `first` on are predicted."""

    token_ids: tuple[int, ...]
    first: int


def predicted(engine: Engine, rows: Sequence[Read], take: Callable[[int, torch.Tensor], T]) -> list[T]:
    """What is made of the logits that predict a row's tokens, for each row.

    Args:
        engine: the model.
        rows: what is read.
        take: gets a row's place and its logits, float64, shape (tokens from `first` on, vocabulary).
    """
    found: dict[int, T] = {}
    for places in _by_question(rows) if engine.shares_prefixes else [list(range(len(rows)))]:
        lengths = [len(rows[place].token_ids) for place in places]
        taken = run_batched(places, lengths, engine.budget, partial(_taken, engine, rows, take))
        found.update(zip(places, taken, strict=True))
    return [found[place] for place in range(len(rows))]


def _by_question(rows: Sequence[Read]) -> list[list[int]]:
    """Places of rows that differ in what is predicted alone, each kind together; all that stand alone come last."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(row.token_ids[: row.first - 1], []).append(place)
    several = [places for asked, places in groups.items() if len(places) > 1 and len(asked) >= FEWEST_SHARED]
    seen = {place for places in several for place in places}
    alone = [place for place in range(len(rows)) if place not in seen]
    return [*several, alone] if alone else several


def _taken(engine: Engine, rows: Sequence[Read], take: Callable[[int, torch.Tensor], T], places: list[int]) -> list[T]:
    import torch

    some = [rows[place] for place in places]
    ids = [row.token_ids for row in some]
    skipped = max(0, min(row.first for row in some) - 1)
    shared = shared_opening(ids, skipped) if engine.shares_prefixes else 0
    with torch.inference_mode():
        if shared == skipped > 0:
            logits = engine.logits_behind(ids, shared)
        else:
            logits = engine.last_logits(ids, max(map(len, ids)) - skipped)
        return [
            take(place, one[row.first - 1 - skipped : len(row.token_ids) - 1 - skipped].double())
            for place, row, one in zip(places, some, logits, strict=True)
        ]


def log_probabilities(engine: Engine, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[float]:
    """Summed log-probability of each continuation behind its prompt, in nats.

    The last token of a continuation is predicted and not read, so that one-letter answers to a question share a row.
    """
    import torch

    wanted: dict[tuple[tuple[int, ...], int], list[int]] = {}
    for place, (prompt, continuation) in enumerate(pairs):
        wanted.setdefault((tuple([*prompt, *continuation][:-1]), len(prompt)), []).append(place)
    found: dict[int, float] = {}
    keys = list(wanted)

    def take(number: int, logits: torch.Tensor) -> None:
        chances = torch.log_softmax(logits, dim=-1)
        for place in wanted[keys[number]]:
            tokens = pairs[place][1]
            found[place] = float(sum(chances[at, token] for at, token in enumerate(tokens)))

    # One token more than is read: what it is does not matter, for nothing stands behind it.
    predicted(engine, [Read(token_ids=(*ids, ids[-1]), first=first) for ids, first in keys], take)
    return [found[place] for place in range(len(pairs))]
