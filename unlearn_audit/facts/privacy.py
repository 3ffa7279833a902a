"""What leaves the facts: pseudonyms for subjects, messages without the facts' words, and notes that only they open."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from unlearn_audit.api import Fact, FactSet, Json
from unlearn_audit.errors import IntegrityError
from unlearn_audit.facts.load import Facts, as_row
from unlearn_audit.facts.spelling import folded

MASK = "█"
PREFIX = "subject"
_DOMAIN = b"unlearn-audit: what only the facts open"
_SEALED = "sealed"
_MARK = 16
"""Bytes at the head of a sealed note: a digest of what it says, so that equal notes are equal bytes."""
_FEWEST_DIGITS = 6
_CLUSTER_DIGITS = 12
_SHORTEST = 3
"""Letters of an answer that is looked for in messages: a shorter one stands in every number."""


class Withheld:
    """The words of an audit's facts, and how they are written where others may read.

    A pseudonym is a keyed digest of the subject's name. The key is a digest of the forget set's rows, so that all
    parts and runs of one forget set have the same pseudonyms, and nobody can try out names who does not have all rows.
    The key cannot be computed from the digest of the facts that results publish: it is another hash of the rows.
    """

    def __init__(self, facts: Mapping[FactSet, Facts]) -> None:
        self._sets = facts

    @cached_property
    def _key(self) -> bytes:
        rows = [as_row(fact) for fact in self._sets[FactSet.FORGET].facts]
        return hmac.digest(_DOMAIN, _canonical(rows), "sha256")

    @cached_property
    def _pseudonyms(self) -> dict[str, str]:
        """Folded name -> pseudonym, of the subjects of all sets; as short as they differ."""
        # By set: that a retain set is larger must not make the forget set's pseudonyms longer.
        found: dict[str, str] = {}
        for facts in self._sets.values():
            names = {folded(fact.subject) for fact in facts.facts}
            digests = {name: hmac.digest(self._key, name.encode(), "sha256").hex() for name in names}
            digits = _FEWEST_DIGITS
            while len({digest[:digits] for digest in digests.values()}) < len(names):
                digits += 1
            found |= {name: f"{PREFIX}-{digest[:digits]}" for name, digest in digests.items() if name not in found}
        return found

    def subjects(self, name: FactSet) -> dict[str, str]:
        """Fact id -> pseudonym of its subject; empty where there is no such set."""
        facts = self._sets[name].facts if name in self._sets else ()
        return {fact.id: self._pseudonyms[folded(fact.subject)] for fact in facts}

    def clusters(self, name: FactSet) -> dict[str, str]:
        """Pseudonym of a subject -> pseudonym of its cluster, of those that have one."""
        facts = self._sets[name].facts if name in self._sets else ()
        return {
            self._pseudonyms[folded(fact.subject)]: "cluster-"
            + hmac.digest(self._key, b"cluster " + folded(fact.cluster).encode(), "sha256").hex()[:_CLUSTER_DIGITS]
            for fact in facts
            if fact.cluster
        }

    def masked(self, text: str) -> str:
        """A message without the names, questions and answers of the facts, in whatever case or escaping."""
        low = text.lower()
        held = [told for told in self._told if told.lower() in low]
        if not held:
            return text
        longest_first = sorted(held, key=lambda told: (-len(told), told))
        words = "|".join(rf"(?<!\w){re.escape(told)}(?!\w)" for told in longest_first)
        return re.sub(words, MASK, text, flags=re.IGNORECASE)

    def masked_json(self, value: Any) -> Any:
        """A JSON value with all its texts masked; keys are names of ours."""
        if isinstance(value, Mapping):
            return {name: self.masked_json(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.masked_json(inner) for inner in value]
        return self.masked(value) if isinstance(value, str) else value

    def sealed(self, note: Mapping[str, Json]) -> dict[str, Json]:
        """A note as it may stand in a run: whoever has the forget set's rows can open it, and nobody else."""
        plain = _canonical(note)
        mark = self._mark(plain)
        return {_SEALED: base64.b64encode(mark + self._turned(plain, mark)).decode()}

    def opened(self, note: Mapping[str, Any]) -> dict[str, Any]:
        """A note that was sealed; one of an older version stands as it is.

        Raises:
            IntegrityError: it was changed, or sealed with other facts.
        """
        if note.keys() != {_SEALED}:
            return dict(note)
        try:
            content = base64.b64decode(str(note[_SEALED]), validate=True)
        except ValueError:
            content = b""
        mark, plain = content[:_MARK], self._turned(content[_MARK:], content[:_MARK])
        if not hmac.compare_digest(mark, self._mark(plain)):
            raise IntegrityError("a note of the run cannot be opened: it was changed, or made with another forget set")
        return dict(json.loads(plain))

    def _mark(self, plain: bytes) -> bytes:
        return hmac.digest(self._key, plain, "sha256")[:_MARK]

    def _turned(self, content: bytes, mark: bytes) -> bytes:
        """The content under a key stream of its own; twice gives the content."""
        stream = hashlib.shake_256(self._key + mark).digest(len(content))
        return (int.from_bytes(content) ^ int.from_bytes(stream)).to_bytes(len(content))

    @cached_property
    def _told(self) -> frozenset[str]:
        several = (fact for facts in self._sets.values() for fact in facts.facts)
        return frozenset(form for fact in several for form in _forms(_texts_of(fact)))


def _texts_of(fact: Fact) -> Iterable[str]:
    yield from (fact.subject, fact.cluster or "", fact.question or "", fact.answer or "", fact.text or "")
    yield from (*fact.aliases, *fact.paraphrases, *fact.wrong_answers)
    yield from (text for hop in fact.hops for text in (hop.question, hop.answer))


def _forms(texts: Iterable[str]) -> Iterable[str]:
    """Each text as it may stand in a message: itself, without its full stop, on one line, and escaped."""
    for text in texts:
        plain = text.strip().rstrip(".?!")
        if len(plain) < _SHORTEST:
            continue
        yield from {plain, " ".join(plain.split()), json.dumps(plain)[1:-1], repr(plain)[1:-1]}


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
