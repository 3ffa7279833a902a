"""What the adversary of the suffix attacks may spend, and each profile's defaults."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from unlearn_audit import api
from unlearn_audit.api import Profile

from .openings import Openings
from .search.goals import Allowed, Position, SearchSettings


class Scope(StrEnum):
    """Which questions a text is optimized on, seen from the question that it is scored on (2408.10682).

    Attributes:
        WITHIN_QUERY: that very question.
        CROSS_QUERY: the other questions about its subject.
        CROSS_TARGET: questions about other subjects; one text for all.
    """

    WITHIN_QUERY = "within-query"
    CROSS_QUERY = "cross-query"
    CROSS_TARGET = "cross-target"


SCOPES: dict[Profile, tuple[Scope, ...]] = {
    Profile.QUICK: (Scope.CROSS_TARGET,),
    Profile.STANDARD: (Scope.CROSS_TARGET,),
    Profile.DEEP: (Scope.CROSS_TARGET, Scope.CROSS_QUERY, Scope.WITHIN_QUERY),
}
STEPS: dict[Profile, dict[Scope, tuple[int, ...]]] = {
    Profile.QUICK: {Scope.CROSS_TARGET: (0, 20), Scope.CROSS_QUERY: (0, 5), Scope.WITHIN_QUERY: (0, 5)},
    Profile.STANDARD: {Scope.CROSS_TARGET: (0, 20), Scope.CROSS_QUERY: (0, 5), Scope.WITHIN_QUERY: (0, 5)},
    Profile.DEEP: {Scope.CROSS_TARGET: (0, 20, 100), Scope.CROSS_QUERY: (0, 10), Scope.WITHIN_QUERY: (0, 10)},
}
WIDTH = {Profile.QUICK: 32, Profile.STANDARD: 32, Profile.DEEP: 64}
TOP_K = {Profile.QUICK: 256, Profile.STANDARD: 256, Profile.DEEP: 256}
LENGTH = {Profile.QUICK: 20, Profile.STANDARD: 20, Profile.DEEP: 20}
GOALS = {Profile.QUICK: 32, Profile.STANDARD: 32, Profile.DEEP: 32}
MERGED = {Profile.QUICK: 8, Profile.STANDARD: 8, Profile.DEEP: 8}


class SuffixParameters(api.Parameters):
    """What the adversary may spend. None follows the profile."""

    scopes: tuple[Scope, ...] | None = Field(
        None, min_length=1, description="`within-query`, `cross-query`, `cross-target`: see the attack."
    )
    steps: tuple[int, ...] | None = Field(
        None, min_length=1, description="Doses of every scope: search steps, rising; 0 is the unoptimized text."
    )
    position: Position = Field(Position.SUFFIX, description="`suffix` or `prefix` of the question.")
    length: PositiveInt | None = Field(None, description="Tokens of the text.")
    width: PositiveInt | None = Field(None, description="Candidates scored per step.")
    top_k: PositiveInt | None = Field(None, description="Tokens per place from which candidates are drawn.")
    merged: NonNegativeInt | None = Field(
        None, description="Extra candidates per step that combine the best changes; 0 changes one token per step."
    )
    starts: PositiveInt = Field(
        2, description="Texts to begin from: fillers, then one that asks for the opening, then fillers drawn otherwise."
    )
    allowed: Allowed = Field(Allowed.ASCII, description="Tokens of the text: `ascii`, or `any` printable.")
    goals: PositiveInt | None = Field(None, description="Most questions that one text is optimized on at once.")
    folds: int = Field(2, ge=2, description="Groups of subjects; each is scored once, under a text found on the rest.")

    @model_validator(mode="after")
    def _rising(self) -> SuffixParameters:
        if self.scopes is not None and len(set(self.scopes)) != len(self.scopes):
            raise ValueError(f"scopes: expected different ones, got {self.scopes}")
        if self.steps is not None and (min(self.steps) < 0 or sorted(set(self.steps)) != list(self.steps)):
            raise ValueError(f"steps: expected rising values from 0, got {self.steps}")
        return self

    def scopes_of(self, profile: Profile) -> tuple[Scope, ...]:
        """The scopes that run."""
        return self.scopes or SCOPES[profile]

    def steps_of(self, scope: Scope, profile: Profile) -> tuple[int, ...]:
        """The doses of a scope."""
        return self.steps or STEPS[profile][scope]

    def goals_of(self, profile: Profile) -> int:
        """Most questions a text."""
        return self.goals or GOALS[profile]

    def search_of(self, profile: Profile, *, steps: int) -> SearchSettings:
        """How the text is searched for."""
        return SearchSettings(
            steps=steps,
            width=self.width or WIDTH[profile],
            top_k=self.top_k or TOP_K[profile],
            length=self.length or LENGTH[profile],
            position=self.position,
            allowed=self.allowed,
            merged=MERGED[profile] if self.merged is None else self.merged,
            starts=self.starts,
        )


class OpeningParameters(Openings, SuffixParameters):
    """What the answer-free adversary may spend. None follows the profile."""
