"""Save points inside a job: what each probe measured at each dose, kept until the job is whole.

A run that is interrupted or killed so loses the work of one probe. What is saved lies apart from the evidence, in
`saves/<key of the job>.jsonl`, a line for a probe at a dose, and nobody but the same job reads it: the key is a digest
of weights, facts, code and settings, and a line can be opened with the forget set's rows alone, since it holds answers.

A line has all that a job which goes on would otherwise lack: the rows, and the answers that the probe got from the
model, because a later probe that asks the same does not ask again. Without these it would be asked in other batches,
and the last digit of a score goes by the batch. What an attack itself does, a training or a search, is done again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from unlearn_audit.api import AnswerScore, Generation, Json, Prompt
from unlearn_audit.errors import IntegrityError
from unlearn_audit.evidence.costs import CostRecord
from unlearn_audit.evidence.files import SAVES, open_to_append, write_bytes
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.facts.privacy import Withheld
from unlearn_audit.models.batching import Memory
from unlearn_audit.models.writing.sampling import Sampling
from unlearn_audit.run.text_policy import KeptText

_VERSION = 1
_ENDING = ".jsonl"
_SEALED = {"sealed"}

Place = tuple[int, str, str]
"""Number and label of a dose, and a probe."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one probe measured at one dose.

    Attributes:
        rows: of the evidence.
        agreement: how often the judge and `match` agreed; None where `match` judged.
        heard: lines of what the model answered, as far as they are kept.
        remembered: answers that the probe was the first to get (`answers_of`).
    """

    rows: list[dict[str, Any]]
    agreement: dict[str, Json] | None = None
    heard: list[dict[str, Any]]
    remembered: list[Any]


class Saves(Protocol):
    """Where a job looks for what was measured, and keeps what it measures."""

    def part(self, place: Place) -> Part | None:
        """What was measured there before."""

    def keep(self, place: Place, part: Part) -> None:
        """Keeps what was measured there."""


class SavePoints:
    """The save points of one job; gone once it fails, since nothing says what failed with it."""

    def __init__(
        self,
        store: EvidenceStore,
        key: str,
        withheld: Withheld,
        text: KeptText,
        so_far: Callable[[], tuple[CostRecord, Sequence[str]]],
    ) -> None:
        """Reads what an earlier run left.

        Args:
            store: of the run.
            key: of the job.
            withheld: seals what is kept.
            text: how much of what models answer is kept; what was heard under another rule is of no use.
            so_far: what this run spent on the job, and what happened.
        """
        self._cost, self._events = CostRecord(), list[str]()
        self._file = store.run / SAVES / f"{key}{_ENDING}"
        self._identity: list[int | str] = [_VERSION, key, str(text)]
        self._withheld, self._store, self._so_far = withheld, store, so_far
        self._parts: dict[Place, Part] = {}
        self._read()

    def part(self, place: Place) -> Part | None:
        """What an earlier run measured there; None where nothing was."""
        return self._parts.get(place)

    def keep(self, place: Place, part: Part) -> None:
        """Adds what a probe has measured.

        Raises:
            IntegrityError: something that it depends on has changed since the audit was planned.
        """
        if self._store.guard is not None:
            self._store.guard()
        cost, events = self.together(*self._so_far())
        note: dict[str, Json] = {
            "of": [*self._identity],
            "place": list(place),
            "rows": [_plain(row) for row in part.rows],
            "agreement": part.agreement,
            "heard": part.heard,
            "remembered": part.remembered,
            "events": events,
            "cost": cost.model_dump(mode="json"),
        }
        self._file.parent.mkdir(mode=0o700, exist_ok=True)
        with open_to_append(self._file) as file:
            file.write(json.dumps(self._withheld.sealed(note)).encode() + b"\n")

    def together(self, cost: CostRecord, events: Sequence[str]) -> tuple[CostRecord, list[str]]:
        """What this run spent and what happened, with what earlier ones spent on what is saved, and what happened."""
        return self._cost + cost, [*self._events, *events]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Throws all away after an error, and nothing after an interrupt."""
        if kind is not None and issubclass(kind, Exception):
            self.drop()

    def drop(self) -> None:
        """Throws all away: the job is whole, or has failed."""
        self._parts.clear()
        _remove(self._file)

    def _read(self) -> None:
        """Reads what can be read. A line that was not finished, or is not of this job, ends it, and goes."""
        if not self._file.is_file():
            return
        lines = self._file.read_bytes().splitlines(keepends=True)
        good = 0
        for line in lines:
            note = self._opened(line)
            if note is None:
                break
            number, dose, probe = note["place"]
            found = {name: note[name] for name in ("rows", "agreement", "heard", "remembered")}
            self._parts[number, dose, probe] = Part(**found)
            self._cost, self._events = CostRecord.model_validate(note["cost"]), note["events"]
            good += 1
        if good < len(lines):
            write_bytes(self._file, b"".join(lines[:good]))

    def _opened(self, line: bytes) -> dict[str, Any] | None:
        with suppress(ValueError, IntegrityError):  # torn by a kill, damaged, or sealed with other facts
            sealed = json.loads(line)
            if isinstance(sealed, dict) and sealed.keys() == _SEALED and line.endswith(b"\n"):
                note = self._withheld.opened(sealed)
                return note if note.get("of") == self._identity else None
        return None


def drop_saves(run: Path, done: Callable[[str], bool]) -> None:
    """Throws away the save points of jobs of which `done` holds; it is given their keys."""
    for file in (run / SAVES).glob(f"*{_ENDING}"):
        if done(file.name.removesuffix(_ENDING)):
            _remove(file)


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)
    with suppress(OSError):  # there are others
        file.parent.rmdir()


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with numbers that JSON knows, whatever library a plug-in had them from."""
    return {name: float(value) if hasattr(value, "__float__") else value for name, value in row.items()}


def counts(memory: Mapping[Hashable, Memory[Any, Any]] | None) -> dict[Hashable, int]:
    """How many answers a model's memory has, by kind of question."""
    return {kind: len(known) for kind, known in (memory or {}).items()}


def answers_of(memory: Mapping[Hashable, Memory[Any, Any]] | None, before: Mapping[Hashable, int]) -> list[Any]:
    """The answers that came into a memory since it had so many, as JSON."""
    return [
        [_kind(kind), [[_item(item), _answer(answer)] for item, answer in new]]
        for kind, known in (memory or {}).items()
        if (new := known.since(before.get(kind, 0)))
    ]


def learn(memory: dict[Hashable, Memory[Any, Any]] | None, remembered: Sequence[Any]) -> None:
    """Puts such answers into a memory."""
    if memory is None:
        return
    for kind, answers in remembered:
        own = Sampling(**kind) if isinstance(kind, dict) else kind
        memory.setdefault(own, Memory()).learn((_item_from(item), _answer_from(answer)) for item, answer in answers)


def _kind(kind: Hashable) -> Any:
    """None for scores, the most new tokens for greedy answers, settings for those that are drawn."""
    if isinstance(kind, Sampling):
        return {name: getattr(kind, name) for name in ("count", "max_new_tokens", "seed", "temperature")}
    return kind


def _item(item: Prompt | tuple[Prompt, str]) -> Any:
    if isinstance(item, tuple):
        return [_item(item[0]), item[1]]
    return [item.text, item.system, item.prefix, item.chat, item.thinking, *item.earlier]


def _item_from(item: Any) -> Prompt | tuple[Prompt, str]:
    if isinstance(item[0], list):
        return _prompt_from(item[0]), item[1]
    return _prompt_from(item)


def _prompt_from(item: Any) -> Prompt:
    text, system, prefix, chat, thinking, *earlier = item
    return Prompt(text=text, system=system, prefix=prefix, chat=chat, thinking=thinking, earlier=tuple(earlier))


def _answer(answer: AnswerScore | Generation | list[Generation]) -> Any:
    if isinstance(answer, list):
        return [_answer(one) for one in answer]
    if isinstance(answer, AnswerScore):
        return {"log_probs": answer.log_probs, "greedy": answer.greedy, "missing": answer.missing}
    parts = [_answer(one) for one in answer.parts]
    return [answer.text, answer.finished, answer.new_tokens, parts, answer.missing]


def _answer_from(answer: Any) -> AnswerScore | Generation | list[Generation]:
    if isinstance(answer, dict):
        return AnswerScore(
            log_probs=tuple(answer["log_probs"]), greedy=tuple(answer["greedy"]), missing=answer["missing"]
        )
    if not answer or isinstance(answer[0], list):
        return [_generation_from(one) for one in answer]
    return _generation_from(answer)


def _generation_from(answer: Any) -> Generation:
    text, finished, new_tokens, parts, missing = answer
    return Generation(
        text=text,
        finished=finished,
        new_tokens=new_tokens,
        parts=tuple(_generation_from(one) for one in parts),
        missing=missing,
    )
