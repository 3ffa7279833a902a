"""Waivers: someone accepts, by name and until a date, a finding on one model that failed or stayed open.

Pure data. A waiver is for one checkpoint, by its full digest, so that it cannot outlive the model it was given for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

UTILITY = "utility"
"""How a waiver names utility, which is not a finding of the plan."""

Words = Annotated[str, Field(min_length=1, max_length=2_000)]


def _bare(digest: object) -> object:
    return digest.strip().lower().removeprefix("sha256:") if isinstance(digest, str) else digest


Digest = Annotated[str, BeforeValidator(_bare), Field(pattern=r"^[0-9a-f]{64}$")]


class Waiver(BaseModel):
    """One waiver, of all findings under a rule or of one finding."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str | None = Field(None, description="Id of a rule of the policy; give this or `finding`.")
    finding: str | None = Field(None, description="Id of one finding, as in the report, or `utility`.")
    model: Digest = Field(description="SHA-256 of the checkpoint, from the report's provenance.")
    reason: Words = Field(description="Why it is acceptable.")
    owner: Words = Field(description="Who is responsible for that.")
    expires: date = Field(description="Last day on which it is valid (UTC), YYYY-MM-DD.")

    @model_validator(mode="after")
    def _names_one_thing(self) -> Waiver:
        if (self.rule is None) == (self.finding is None):
            raise ValueError("expected either `rule` or `finding` in a waiver; give exactly one")
        return self

    @property
    def subject(self) -> str:
        """What it is for, for a reader."""
        return f"rule {self.rule}" if self.finding is None else self.finding


class Waivers(BaseModel):
    """`waivers.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    waivers: tuple[Waiver, ...] = Field((), description="All waivers; an expired one is reported at every run.")


class State(StrEnum):
    """What became of a waiver."""

    USED = "used"
    UNUSED = "unused"
    EXPIRED = "expired"


class WaiverRecord(BaseModel):
    """A waiver and what it did.

    Attributes:
        covers: ids of the findings that it applies to.
        on: the day on which it was checked.
        why: why it has no effect; empty if it has one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    waiver: Waiver
    state: State
    covers: tuple[str, ...] = ()
    on: date
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Waiving:
    """The waivers with which an audit is decided, and the day."""

    waivers: tuple[Waiver, ...] = ()
    on: date = field(default_factory=lambda: datetime.now(UTC).date())
