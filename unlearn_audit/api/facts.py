"""Facts: the pieces of knowledge that must be gone, must stay, or were never there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from pydantic import ConfigDict


class FactSet(StrEnum):
    """Which facts: those that must be gone, those that must stay, those that no model was trained on."""

    FORGET = "forget"
    RETAIN = "retain"
    HOLDOUT = "holdout"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hop:
    """One step of a chain of reasoning that leads through a fact."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    question: str
    answer: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One piece of knowledge; `subject` is the unit of statistics. Has a question and an answer, or only a text.

    A line of a facts file is read as this class, and a key that is not one of its fields is an error.

    Attributes:
        given: how its text begins, where that much of it is to be shown to a model (a benchmark's own cut).
        cluster: whom its subject may leak together with (a family, the volumes of a work): the unit in its place.
        part: of a retain fact, which part of what must stay it belongs to: `neighbours`, `shared`. No name: results
            say it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    id: str
    subject: str
    question: str | None = None
    answer: str | None = None
    aliases: tuple[str, ...] = ()
    paraphrases: tuple[str, ...] = ()
    wrong_answers: tuple[str, ...] = ()
    text: str | None = None
    given: str | None = None
    relation: str | None = None
    hops: tuple[Hop, ...] = ()
    cluster: str | None = None
    part: str | None = None
