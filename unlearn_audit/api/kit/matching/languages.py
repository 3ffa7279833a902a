"""What the matcher knows of languages: by which words they are known, what denies, what ends may be added to a noun."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import regex
import yaml
from pydantic import BaseModel, ConfigDict, field_validator

from unlearn_audit.api.kit.matching.folding import fold

ENGLISH = "en"


class Language(BaseModel):
    """One language, or several that share a script: as `languages.yaml` explains."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    scripts: tuple[str, ...] = ("Latin",)
    unspaced: bool = False
    know: frozenset[str] = frozenset()
    before: tuple[str, ...] = ()
    before_phrases: tuple[str, ...] = ()
    harmless: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    contrast: tuple[str, ...] = ()
    either: tuple[str, ...] = ()
    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()
    plural: tuple[tuple[str, str], ...] = ()

    @field_validator("before", "before_phrases", "harmless", "after", "contrast", "yes", "no", "unsure", mode="after")
    @classmethod
    def _folded(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(map(fold, words)))

    @field_validator("plural", mode="after")
    @classmethod
    def _folded_pairs(cls, pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        return tuple(dict.fromkeys((fold(own), fold(other)) for own, other in pairs))

    @field_validator("know", mode="after")
    @classmethod
    def _known(cls, words: frozenset[str]) -> frozenset[str]:
        return frozenset(map(fold, words))


@lru_cache(maxsize=1)
def languages() -> dict[str, Language]:
    """All languages, by their codes."""
    text = Path(__file__).with_name("languages.yaml").read_text(encoding="utf-8")
    held = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506  # makes strings only: "no" and "on" are words here
    return {name: Language.model_validate(about) for name, about in held.items()}


@lru_cache(maxsize=1)
def _by_script() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for name, language in languages().items():
        for script in language.scripts:
            found.setdefault(script, []).append(name)
    return {script: tuple(names) for script, names in found.items()}


@lru_cache(maxsize=1)
def _scripts() -> regex.Pattern[str]:
    named = "|".join(rf"(?P<{script}>\p{{{script}}})" for script in _by_script())
    return regex.compile(named)


def scripts_of(text: str) -> set[str]:
    """Scripts of its letters, but for those of which nothing is known."""
    if text.isascii():
        return {"Latin"}
    return {str(found.lastgroup) for found in _scripts().finditer(text)}


def spoken(text: str, words: Iterable[str]) -> tuple[str, ...]:
    """The languages that a text may be in, English always among them.

    Args:
        text: a text.
        words: its words, folded.
    """
    found: set[str] = {ENGLISH}
    scripts = scripts_of(text)
    for script in scripts - {"Latin"}:
        found.update(_by_script()[script])
    if "Latin" in scripts:
        found.update(_latin(frozenset(words)))
    return tuple(sorted(found))


@lru_cache(maxsize=16_384)
def _latin(words: frozenset[str]) -> tuple[str, ...]:
    known = Counter({name: len(words & languages()[name].know) for name in _by_script()["Latin"]})
    most = max(known.values(), default=0)
    return tuple(name for name, count in known.items() if count == most) if most else ()


@lru_cache(maxsize=4096)
def pattern(spoken_in: tuple[str, ...], field: str) -> regex.Pattern[str] | None:
    """One expression for all words (or expressions) of a field, in these languages; None where there are none."""
    parts = [_expression(languages()[name], field) for name in spoken_in]
    wanted = [part for part in parts if part]
    return regex.compile("|".join(wanted)) if wanted else None


def _expression(language: Language, field: str) -> str:
    texts: Sequence[str] = getattr(language, field)
    if field in ("after", "unsure"):
        return "|".join(f"(?:{text})" for text in texts)
    escaped = "|".join(regex.escape(text).replace(r"\ ", r"\s+") for text in sorted(texts, key=len, reverse=True))
    if not escaped:
        return ""
    return f"(?:{escaped})" if language.unspaced else rf"(?<!\w)(?:{escaped})(?!\w)"


@lru_cache(maxsize=1024)
def endings(spoken_in: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Pairs of endings that a noun may exchange in these languages."""
    return tuple(dict.fromkeys(pair for name in spoken_in for pair in languages()[name].plural))
