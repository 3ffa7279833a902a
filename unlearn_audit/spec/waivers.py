"""Waivers: somebody answers, by name and until a day, for a finding of one model that failed or stayed open.

Pure data. A waiver is for one checkpoint, by its full digest, so that none outlives the model that it was given for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

UTILITY = "utility"
"""How a waiver names utility, which is no finding of the plan."""

Words = Annotated[str, Field(min_length=1, max_length=2_000)]


def _bare(digest: object) -> object:
    return digest.strip().lower().removeprefix("sha256:") if isinstance(digest, str) else digest


Digest = Annotated[str, BeforeValidator(_bare), Field(pattern=r"^[0-9a-f]{64}$")]


class Waiver(BaseModel):
    """One waiver, of all findings under a rule or of one finding."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str | None = Field(None, description="Id of a rule of the policy; or else `finding`.")
    finding: str | None = Field(None, description="Id of one finding, as reports write it, or `utility`.")
    model: Digest = Field(description="SHA-256 of the checkpoint, as the report's provenance has it.")
    reason: Words = Field(description="Why it may stand.")
    owner: Words = Field(description="Who answers for that.")
    expires: date = Field(description="Last day on which it holds (UTC), YYYY-MM-DD.")

    @model_validator(mode="after")
    def _names_one_thing(self) -> Waiver:
        if (self.rule is None) == (self.finding is None):
            raise ValueError("a waiver names either a rule or a finding")
        return self

    @property
    def subject(self) -> str:
        """What it is for, for a reader."""
        return f"rule {self.rule}" if self.finding is None else self.finding


class Waivers(BaseModel):
    """`waivers.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    waivers: tuple[Waiver, ...] = Field((), description="All of them; one that has run out is said at every run.")


class State(StrEnum):
    """What became of a waiver."""

    USED = "used"
    UNUSED = "unused"
    EXPIRED = "expired"


class WaiverRecord(BaseModel):
    """A waiver and what it did.

    Attributes:
        covers: ids of the findings that it stands beside.
        on: the day on which it was looked at.
        why: why it waives nothing; empty where it does.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    waiver: Waiver
    state: State
    covers: tuple[str, ...] = ()
    on: date
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Waiving:
    """The waivers that an audit is judged with, and the day."""

    waivers: tuple[Waiver, ...] = ()
    on: date = field(default_factory=lambda: datetime.now(UTC).date())
