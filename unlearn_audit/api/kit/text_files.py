"""Templates in data files next to the probes, reviewed like code."""

from __future__ import annotations

import string
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict

from unlearn_audit.api.model import Prompt

Texts = TypeVar("Texts", bound=BaseModel)


class Way(BaseModel):
    """One way of asking, with its placeholders."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    text: str
    prefix: str = ""

    @cached_property
    def places(self) -> frozenset[str]:
        """The placeholders that it has."""
        parsed = (part for text in (self.text, self.prefix) for part in string.Formatter().parse(text))
        return frozenset(name for _, name, _, _ in parsed if name)

    def filled(self, fillings: Mapping[str, str]) -> Prompt:
        """The prompt with its places filled."""
        return Prompt(text=self.text.format(**fillings), prefix=self.prefix.format(**fillings))


def read_texts(kind: type[Texts], path: Path) -> Texts:
    """A data file of a probe."""
    return kind.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
