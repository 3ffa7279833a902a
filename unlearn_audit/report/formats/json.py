"""`result.json`: the canonical form of a result, back again, and its JSON Schema."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.errors import AuditError, SpecError
from unlearn_audit.evidence.files import read_json
from unlearn_audit.evidence.old_names import ATTACKS, OldName, renamed
from unlearn_audit.verdict.result import SCHEMA_VERSION, Result

SCHEMA_PATH = Path(__file__).with_name("result.schema.json")
_REMEDY = "Use the file as the audit wrote it, or recreate it from the evidence with `unlearn-audit gate`."
_SHOWN_ERRORS = 5


class ResultFileError(AuditError):
    """A result file cannot be read as one."""


def render(result: Result) -> str:
    """The result as canonical JSON: keys sorted, 2 spaces, ASCII only (so that a terminal obeys nothing in it).

    Raises:
        AuditError: it holds a number that is not finite. Missing has its own value; NaN is never a value.
    """
    try:
        return canonical(renamed(result.model_dump(mode="json"), result.asked_as))
    except ValueError as error:
        raise AuditError(
            f"Expected finite numbers, or none if evidence is missing; got one that JSON cannot write ({error}). "
            "This is a bug in the audit; please report it."
        ) from error


def load_result(path: Path) -> Result:
    """The result in a file that `render` wrote.

    Raises:
        ResultFileError: naming the file, what is wrong with it, and what to do.
    """
    try:
        data = read_json(path)
    except SpecError as error:
        raise ResultFileError(f"{error}. Expected the result.json of a finished audit. {_REMEDY}") from error
    _check_version(path, data)
    try:
        result = Result.model_validate(_under_current_names(data))
    except ValidationError as error:
        raise ResultFileError(f"{path}: expected the result of an audit: {_explain(error)}. {_REMEDY}") from error
    _check_agreement(path, result)
    return result


def schema() -> dict[str, object]:
    """The JSON Schema (2020-12) of what `render` writes."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:unlearn-audit:result:{SCHEMA_VERSION}",
        **Result.model_json_schema(mode="serialization"),
    }


def schema_text() -> str:
    """The schema as it is published in `result.schema.json`."""
    return canonical(schema())


def canonical(data: object) -> str:
    """JSON in one form: keys sorted, 2 spaces, ASCII only; ValueError for a number that is not finite."""
    return json.dumps(data, sort_keys=True, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def _check_version(path: Path, data: object) -> None:
    if not isinstance(data, dict):
        raise ResultFileError(f"{path}: expected a JSON object, got {type(data).__name__}. {_REMEDY}")
    version = data.get("schema_version")
    if version not in (1, SCHEMA_VERSION):
        raise ResultFileError(
            f"{path}: its schema_version is {clean(repr(version), 40)}, and this version of the tool reads only 1 and "
            f"{SCHEMA_VERSION}. Use the tool version that wrote it ({clean(repr(data.get('tool_version')), 40)}), "
            "or decide again on the evidence with `unlearn-audit gate`."
        )


def _under_current_names(data: dict[str, Any]) -> dict[str, Any]:
    """A result of this version; one written with older names gets today's."""
    if data.get("schema_version") == 1:
        warnings.warn(
            "an older version wrote this run; its `cells` are read as jobs, `none` as `as-is`", OldName, stacklevel=2
        )
        names = {"cells": "jobs"}
        data = {names.get(key, key): value for key, value in data.items()} | {"schema_version": SCHEMA_VERSION}
    elif not data.get("asked_as"):
        return data
    return dict(renamed(data, ATTACKS))


def _check_agreement(path: Path, result: Result) -> None:
    """Outcome, verdict and exit code must agree; a file in which they do not was edited."""
    outcome = result.outcome
    if result.verdict.outcome != outcome or result.exit_code != outcome.exit_code:
        raise ResultFileError(
            f"{path}: contradicts itself: outcome {outcome}, verdict {result.verdict.outcome}, exit code "
            f"{result.exit_code} (expected {outcome.exit_code}). {_REMEDY}"
        )


def _explain(error: ValidationError) -> str:
    """The first few problems, without the values: these may be anything."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [f"{clean('.'.join(map(str, each['loc'])), 80)}: {each['msg']}" for each in problems[:_SHOWN_ERRORS]]
    if len(problems) > _SHOWN_ERRORS:
        shown.append(f"and {len(problems) - _SHOWN_ERRORS} more")
    return "; ".join(shown)
