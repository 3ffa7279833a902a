"""What models answered, kept only as far as it was asked for: in a file of its own, and in no report.

An answer may hold the very thing that must be gone, so that by default none is kept: `outputs.jsonl` then has, for each
dose and probe, how many answers were read and one salted digest of them all. On request it has a line for every answer,
with the text, whole or redacted. The salt is random and stored next to it: anyone with a digest but no salt cannot
find a short answer by trying, and its owner can still show that an answer is the one that was read.

What is redacted are the words of the forget set's answers, aliases, texts and steps. An answer that says the same in
other words is not seen: `redacted` spares a reader what he need not see, and makes nothing fit for publication.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_audit.api import Fact, Generation, Prompt, words_of
from unlearn_audit.evidence.files import append
from unlearn_audit.run.text_policy import KeptText

if TYPE_CHECKING:
    from unlearn_audit.plan.plan import Job

OUTPUTS, SALT = "outputs.jsonl", "outputs.salt"
MASK = "█"
_OWNER_ALONE = 0o600
_UNBROKEN = re.compile(r"\S+")


class Outputs:
    """The answers of a run's models; those of a job are written when the job is done, and never before.

    Several processes may keep answers of one run, once it is `ready`.

    Jobs that an earlier run or another audit finished are not run again, and so leave no answers here.
    """

    def __init__(self, run: Path, text: KeptText, facts: Iterable[Fact]) -> None:
        self._run = run
        self._text = text
        self._hidden = hidden_words(facts)
        self._waiting: list[dict[str, Any]] = []
        self._salt: bytes | None = None

    def ready(self) -> None:
        """Makes the salt, which all processes of a run must share, before there are several."""
        self._salt = _salt(self._run / SALT)

    def hear(self, job: Job, dose: str, probe: str, asked: Sequence[Prompt], answers: Sequence[Generation]) -> None:
        """Takes down what a model answered to a probe."""
        place = {
            "job": job.key,
            "model": job.model.name,
            "attack": job.attack,
            "arm": job.arm.name,
            "seed": job.seed,
            "sham": job.sham,
            "dose": dose,
            "probe": probe,
        }
        questions = [_as_text(prompt) for prompt in asked]
        texts = [answer.text for answer in answers]
        if self._text is KeptText.NONE:
            together = json.dumps([questions, texts])
            self._waiting.append({**place, "answers": len(texts), "digest": self._digest(together)})
            return
        for question, text in zip(questions, texts, strict=True):
            self._waiting.append(
                {
                    **place,
                    "question_digest": self._digest(question),
                    "answer_digest": self._digest(text),
                    "question": self._shown(question),
                    "answer": self._shown(text),
                }
            )

    def begin(self) -> None:
        """Forgets what was heard of a job that did not end."""
        self._waiting.clear()

    @property
    def text(self) -> KeptText:
        """How much of it is kept."""
        return self._text

    def heard(self, since: int = 0) -> list[dict[str, Any]]:
        """What waits to be written, from a place on."""
        return self._waiting[since:]

    def hear_again(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Takes over what was heard before the run was interrupted."""
        self._waiting.extend(map(dict, lines))

    def keep(self) -> None:
        """Writes what was heard since `begin`."""
        lines = "".join(json.dumps(each, sort_keys=True) + "\n" for each in self._waiting)
        self._waiting.clear()
        if lines:
            append(self._run / OUTPUTS, lines.encode())

    def _shown(self, text: str) -> str:
        return text if self._text is KeptText.FULL else redacted(text, self._hidden)

    def _digest(self, text: str) -> str:
        if self._salt is None:
            self._salt = _salt(self._run / SALT)
        return hmac.new(self._salt, text.encode("utf-8", "surrogatepass"), "sha256").hexdigest()


def hidden_words(facts: Iterable[Fact]) -> frozenset[str]:
    """The words that no redacted text shows: those of every answer, alias, text and step of reasoning."""
    found: set[str] = set()
    for fact in facts:
        hops = [hop.answer for hop in fact.hops]
        for text in (fact.answer or "", fact.text or "", *fact.aliases, *hops):
            found.update(words_of(text))
    return frozenset(found)


def redacted(text: str, hidden: frozenset[str]) -> str:
    """The text with everything masked, from blank to blank, that holds a hidden word in whatever spelling."""

    def mask(match: re.Match[str]) -> str:
        return MASK if hidden.intersection(words_of(match[0])) else match[0]

    return _UNBROKEN.sub(mask, text)


def _as_text(prompt: Prompt) -> str:
    return "\n".join(part for part in (prompt.system, *prompt.earlier, prompt.text, prompt.prefix) if part)


def _salt(path: Path) -> bytes:
    """The run's salt, made where there is none yet."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ALONE)
    except FileExistsError:
        return bytes.fromhex(path.read_text(encoding="ascii").strip())
    made = secrets.token_bytes(32)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(made.hex() + "\n")
    return made
