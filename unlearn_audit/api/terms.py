"""The vocabulary that all plug-ins share: access, roles, profiles, kinds of score, parameters, seeds."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeAliasType

Json = TypeAliasType("Json", "None | bool | int | float | str | Sequence[Json] | Mapping[str, Json]")
"""A value as JSON has it."""

CheckpointReference: TypeAlias = str
"""The address of a checkpoint: a directory, a hub id (`owner/name@revision`), a PEFT adapter, or a `.gguf` file."""


class Access(StrEnum):
    """The least access that an attacker or a probe needs, weakest first."""

    PROMPTS = "prompts"
    LOGITS = "logits"
    ACTIVATIONS = "activations"
    WEIGHTS = "weights"


class Role(StrEnum):
    """What a model is in the audit (design, section 2)."""

    ORIGINAL = "original"
    UNLEARNED = "unlearned"
    RETRAINED = "retrained"
    PLANT = "plant"
    GENERATOR = "generator"  # writes prompts; not audited


class Profile(StrEnum):
    """How hard the attacks try: `quick` for a first look, `standard` as published, `deep` beyond it."""

    QUICK = "quick"
    STANDARD = "standard"
    DEEP = "deep"


class ScoreKind(StrEnum):
    """Hits are 0 or 1 by a stated answer key; soft scores are probabilities or shares."""

    HIT = "hit"
    SOFT = "soft"


class Parameters(BaseModel):
    """Base of every plug-in's parameters: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def check_rising(name: str, values: Sequence[Any] | None) -> None:
    """Refuses values of a parameter that do not rise; None is none. For a validator of `Parameters`.

    Raises:
        ValueError: naming the parameter.
    """
    if values is not None and sorted(set(values)) != list(values):
        raise ValueError(f"{name}: expected rising values, each once, got {values}")


ItemT = TypeVar("ItemT")
P_co = TypeVar("P_co", bound=Parameters, covariant=True)


def shuffled(items: Sequence[ItemT], *parts: Any) -> Iterator[ItemT]:
    """The items in an order drawn from the parts: as much work as is taken, however many there are (Fisher-Yates)."""
    generator = random.Random(derive_seed(0, *parts))  # noqa: S311
    moved: dict[int, int] = {}
    for place in range(len(items)):
        other = generator.randrange(place, len(items))
        yield items[moved.get(other, other)]
        moved[other] = moved.get(place, place)


def derive_seed(seed: int, *parts: Any) -> int:
    """A seed in [0, 2**31) for one use, from the audit's seed and the names of the use."""
    text = "\x1f".join([str(seed), *map(str, parts)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


class Status(StrEnum):
    """The status of one finding."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    NO_POWER = "no-power"
    ERROR = "error"
