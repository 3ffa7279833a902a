"""What an auditor is given and what it gives: the JSON by which anyone's command enters the board."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unlearn_audit.verdict.result import Outcome

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Request:
    """One checkpoint to judge. Nothing in it says which model it is, or what is true of it.

    Attributes:
        checkpoint: folder of the model under audit; like the others as `transformers` (or PEFT) saves them.
        original: folder of the model before unlearning.
        retrained: folders of models that were trained without the forget set.
        forget: facts that must be gone, one JSON object a line (docs/facts.md); `retain` those that must stay,
            `holdout` such as no model saw.
    """

    checkpoint: str
    original: str
    retrained: tuple[str, ...]
    forget: str
    retain: str
    holdout: str

    def as_json(self) -> dict[str, Any]:
        """As it is handed over."""
        return {"contract": VERSION, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an auditor says of one checkpoint.

    Attributes:
        score: higher = more of the knowledge is left; any scale. None where it gives none.
        verdict: PASS, FAIL, INCONCLUSIVE or ERROR; None of a score without a published criterion.
        note: one line for a reader.
        seconds: processor time, or wall time of a command.
        code: which version gave it.
    """

    score: float | None = None
    verdict: Outcome | None = None
    note: str = ""
    seconds: float | None = None
    code: str = ""

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)


VERDICTS = (Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR)


def answer_of(content: Any) -> Answer:
    """An answer as JSON has it.

    Raises:
        ValueError: it has neither score nor verdict, or one that is not allowed.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"expected an object with `score`, `verdict` or both, got {type(content).__name__}")
    unknown = set(content) - {"score", "verdict", "note", "seconds", "code"}
    if unknown:
        raise ValueError(f"expected score, verdict, note, seconds and code alone, got {', '.join(sorted(unknown))}")
    score, verdict = content.get("score"), content.get("verdict")
    if score is None and verdict is None:
        raise ValueError("expected a `score`, a `verdict`, or both, got neither")
    if score is not None and (
        isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score)
    ):
        raise ValueError(f"expected a finite number as `score`, got {score!r}")
    if verdict is not None and verdict not in VERDICTS:
        raise ValueError(f"expected PASS, FAIL, INCONCLUSIVE or ERROR as `verdict`, got {verdict!r}")
    return Answer(
        score=None if score is None else float(score),
        verdict=None if verdict is None else Outcome(verdict),
        note=str(content.get("note", "")),
        seconds=content.get("seconds"),
        code=str(content.get("code", "")),
    )


def read_answers(path: Path) -> dict[str, Answer]:
    """Row -> answer, from a file that an auditor wrote: one answer, or an object of several by the names of their rows.

    Raises:
        ValueError: it is not an answer; the message says what was expected.
        OSError: there is no file.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    rows = content.get("rows") if isinstance(content, Mapping) else None
    if rows is None:
        return {"": answer_of(content)}
    if not isinstance(rows, Mapping) or not rows:
        raise ValueError("expected `rows` to be an object of answers by name")
    return {str(name): answer_of(one) for name, one in rows.items()}
