"""The figures of `run --metrics` in the files that others read: open-unlearning's, lm-evaluation-harness's, the hub's.

All are of the checkpoint under audit. A figure that is missing is absent there, as it is in theirs, and never 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.errors import AuditError
from unlearn_audit.evidence.published import Figure, Metrics, ModelTable
from unlearn_audit.report.formats.rulings import started
from unlearn_audit.verdict.result import Result

_PARTS = ("forget", "holdout")
_DATASETS = {
    "tofu": "locuslab/TOFU",
    "muse": "muse-bench/MUSE-{config}",
    "rwku": "jinzhuoran/RWKU",
    "wmdp": "cais/wmdp",
}
"""Of each benchmark on the hub."""


def open_unlearning(metrics: Metrics) -> str:
    """`TOFU_EVAL.json`: keys sorted, four blanks, each figure with its value by row.

    Variants that open-unlearning does not write (their names have a bracket) are left out.
    """
    found = {
        one.name: _entry(one)
        for one in _audited(metrics).figures
        if one.value is not None and "(" not in one.name and "/" not in one.name
    }
    if not found:
        raise AuditError(f"expected figures of --metrics tofu or open-unlearning, got those of {metrics.suite}")
    return json.dumps(found, indent=4, sort_keys=True) + "\n"


def lm_eval(metrics: Metrics) -> str:
    """The `results` of lm-evaluation-harness: task -> `acc,none` and `acc_stderr,none`."""
    results: dict[str, dict[str, Any]] = {}
    counts: dict[str, dict[str, int]] = {}
    for one in _audited(metrics).figures:
        task, slash, name = one.name.partition("/")
        if slash and one.value is not None:
            results.setdefault(task, {"alias": task})[f"{name},none"] = one.value
            counts[task] = {"original": one.rows, "effective": one.rows}
    if not results:
        raise AuditError(f"expected figures of --metrics wmdp, got those of {metrics.suite}")
    shots = dict.fromkeys(results, 0)
    return json.dumps({"results": results, "n-shot": shots, "n-samples": counts}, indent=2, sort_keys=True) + "\n"


def eval_results(result: Result, metrics: Metrics) -> str:
    """`.eval_results/*.yaml` of a model's page: one entry per figure.

    An entry names a data set of the hub and a task in it, so only published benchmarks have entries: an audit's own
    forget set is nobody's benchmark, and stands in the model card. The hub shows an entry once the data set's owners
    registered the task.

    Raises:
        AuditError: the benchmark is not a data set of the hub.
    """
    preset, _, config = metrics.benchmark.partition("/")
    if preset not in _DATASETS:
        raise AuditError(f"expected a benchmark of the hub ({', '.join(_DATASETS)}), got {metrics.benchmark}")
    dataset = _DATASETS[preset].format(config=config.partition("/")[0].capitalize() or "News")
    begun = started(result)
    tool = f"unlearn-audit {clean(result.tool_version, 40)}"
    put = (clean(told, 200) for told in metrics.put)
    notes = "; ".join((metrics.benchmark, f"labels {metrics.labels}", *put, tool))
    entries = [
        {
            "dataset": {"id": dataset, "task_id": clean(figure.name, 100)},
            "value": figure.value,
            **({"date": begun.isoformat(timespec="seconds")} if begun else {}),
            "notes": notes,
        }
        for figure in _audited(metrics).figures
        if figure.value is not None
    ]
    return yaml.safe_dump(entries, sort_keys=False, allow_unicode=True)


def _audited(metrics: Metrics) -> ModelTable:
    return next(one for one in metrics.models if one.role == "unlearned")


def _entry(one: Figure) -> dict[str, Any]:
    """Of an attack, the scores of both parts with their means, and the area twice, as theirs has it."""
    parts = {part: _of_part(one.by_row, part) for part in _PARTS}
    if all(parts.values()):
        scores = {
            part: {"agg_value": sum(row["score"] for row in rows.values()) / len(rows), "value_by_index": rows}
            for part, rows in parts.items()
        }
        return {**scores, "auc": one.value, "agg_value": one.value}
    entry: dict[str, Any] = {"agg_value": one.value}
    return {**entry, "value_by_index": one.by_row} if one.by_row else entry


def _of_part(rows: Mapping[str, Mapping[str, Any]], part: str) -> dict[str, Mapping[str, Any]]:
    return {key.partition("/")[2]: row for key, row in rows.items() if key.startswith(f"{part}/")}
