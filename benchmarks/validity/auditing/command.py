"""Any auditor that is a command: it is told of a checkpoint in a file, and answers in another."""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks.validity.auditing.contract import Answer, Request, read_answers
from unlearn_audit.verdict.result import Outcome

REQUEST, ANSWER = "{request}", "{answer}"
LAST_WORDS = 300


def ask(command: str, request: Request, *, most_seconds: float) -> dict[str, Answer]:
    """One checkpoint judged by a command.

    Args:
        command: with `{request}` where the path of the request stands, and `{answer}` where that of the answer does.
        request: what it is given; the folders are shown to it under names that say nothing.
        most_seconds: after which it is stopped.

    Returns:
        Row -> answer; the row is empty for a command that has one. A command that fails, gives no answer or one that
        breaks the contract has the verdict ERROR, and the note says why.
    """
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="auditor-") as scratch:
        folder = Path(scratch)
        told, answer = folder / "request.json", folder / "answer.json"
        told.write_text(json.dumps(blinded(request, folder).as_json(), indent=1), encoding="utf-8")
        words = [word.replace(REQUEST, str(told)).replace(ANSWER, str(answer)) for word in shlex.split(command)]
        rows = _answered(words, answer, most_seconds)
    seconds = round(time.monotonic() - begun, 1)
    return {name: one if one.seconds is not None else replace(one, seconds=seconds) for name, one in rows.items()}


def blinded(request: Request, folder: Path) -> Request:
    """The same request through links that say nothing: a path such as `.../retrained-3` tells the truth."""
    models = {"checkpoint": request.checkpoint, "original": request.original}
    models |= {f"control-{number}": path for number, path in enumerate(request.retrained, 1)}
    for name, path in models.items():
        (folder / name).symlink_to(Path(path).resolve(), target_is_directory=True)
    return replace(
        request,
        checkpoint=str(folder / "checkpoint"),
        original=str(folder / "original"),
        retrained=tuple(str(folder / name) for name in models if name.startswith("control-")),
    )


def _answered(words: list[str], answer: Path, most_seconds: float) -> Mapping[str, Answer]:
    try:
        ended = subprocess.run(words, capture_output=True, text=True, timeout=most_seconds, check=False)
        if ended.returncode != 0:
            return _error(f"exit code {ended.returncode}: {ended.stderr.strip()[-LAST_WORDS:]}")
        return read_answers(answer)
    except subprocess.TimeoutExpired:
        return _error(f"no answer within {most_seconds:g} s")
    except (OSError, ValueError) as problem:  # a JSON error is a ValueError
        return _error(f"no answer by the contract: {problem}")


def _error(why: str) -> dict[str, Answer]:
    return {"": Answer(verdict=Outcome.ERROR, note=why)}
