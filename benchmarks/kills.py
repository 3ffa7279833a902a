"""Kills a small audit at random moments, resumes it, and compares its evidence with that of an undisturbed one.

`python -m benchmarks.kills --kills 200 --out DIR`. In a trial one `run` of the command line, in its own process, is
ended four times by SIGKILL or SIGTERM after a random time, resumed each time, and then left alone. It must end with the
digest of the undisturbed run, and leave no scratch space. Every second trial has a shared store. Time is the
processor's, not the clock's: on a busy machine most kills would else come before the first job. What a trial found is
a line of `kills.jsonl`; a benchmark that was stopped goes on with the next trial. `--keep FILE` writes the counts, with
the machine. Exit code 1 if anything went wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import platform
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import torch
from unlearn_audit.probes.recall import Recall

from unlearn_audit.audit import hops
from unlearn_audit.cli.app import main as command_line
from unlearn_audit.models.stored.templates import check_template
from unlearn_audit.plan.provenance import provenance
from unlearn_audit.report import write
from unlearn_audit.testing.models import CHATML, tiny_module, tiny_tokenizer

INTERRUPTED = 130
KILLS_A_TRIAL = 4
_VERDICTS = (0, 1, 3)
_NAMES = ("Ada Mann", "Bo Lind", "Cy Berg", "Di Falk")


def prepared(out: Path) -> list[str]:
    """Writes models and facts, and gives the command that audits them."""
    tokenizer = tiny_tokenizer()
    for seed, name in enumerate(("original", "unlearned")):
        tiny_module("llama", len(tokenizer), seed).save_pretrained(out / name)
        tokenizer.save_pretrained(out / name)
    for name in ("forget", "retain"):
        rows = [
            {"id": f"{name}{n}", "subject": f"{one} {name}", "question": f"Who is {one} {name}?", "answer": f"N{n}"}
            for n, one in enumerate(_NAMES)
        ]
        (out / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    spec = {
        "checkpoint": "unlearned",
        "original": "original",
        "forget": "forget.jsonl",
        "retain": "retain.jsonl",
        "profile": "quick",
        "attacks": {"as-is": {}, "noise": {"sigmas": [0.2]}},
        "probes": {"recall": {"max_new_tokens": 4}, "utility": {"max_new_tokens": 4}},
        "comparisons": ["distribution"],
    }
    (out / "audit.yaml").write_text(json.dumps(spec), encoding="utf-8")  # JSON is YAML
    return ["run", "--spec", str(out / "audit.yaml")]


def started(command: list[str], log: Path, loaded: Path | None = None) -> int:
    """Runs a command of ours in a copy of this process; gives its id. Its modules are named in `loaded`."""
    log.write_text("", encoding="utf-8")  # it is read even where the process is killed before it opens it
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        with log.open("w", encoding="utf-8") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.argv = ["unlearn-audit", *command]
        # Of the reports the result alone: figures take longer than all the rest together.
        hops.write_reports = lambda result, run, _: write(result, run, ("json",))  # type: ignore[assignment]
        command_line()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        if loaded is not None:
            loaded.write_text(json.dumps(sorted(sys.modules)), encoding="utf-8")
        os._exit(code)


def ended(child: int) -> int:
    """How a process ended: its exit code, or the number of its signal below 0."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def wait_for(child: int, seconds: float) -> None:
    """Waits until a process has used so much processor time, or has ended."""
    process = psutil.Process(child)
    with contextlib.suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE and _used(process) < seconds:
            time.sleep(0.002)


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def undisturbed(command: list[str], out: Path) -> tuple[str, float]:
    """The digest that every trial must come to, and the processor time of a run once all modules are loaded."""
    names = out / "modules.json"
    if not names.exists():
        ended(started([*command, "--out", str(out / "first")], out / "first.log", names))
    for name in json.loads(names.read_text(encoding="utf-8")):
        with contextlib.suppress(Exception):  # not every module can be imported by its name
            importlib.import_module(name)
    check_template(CHATML)  # both are kept by a process, and so by its copies
    provenance("probe", "recall", Recall)
    shutil.rmtree(out / "undisturbed", ignore_errors=True)
    before = os.times()
    code = ended(started([*command, "--out", str(out / "undisturbed")], out / "undisturbed.log"))
    after = os.times()
    if code not in _VERDICTS:
        raise SystemExit(f"the undisturbed run ended with {code}: {(out / 'undisturbed.log').read_text()}")
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    return digest_of(out / "undisturbed"), seconds


def digest_of(run: Path) -> str:
    """The evidence digest of a finished run; empty if there is none."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        return str(json.loads((run / "result.json").read_text(encoding="utf-8"))["evidence_digest"])
    return ""


def trial(number: int, seed: int, command: list[str], out: Path, seconds: float) -> dict[str, Any]:
    """Some kills, and a run to the end."""
    chance = random.Random(f"{seed}/{number}")
    work = out / f"trial-{number}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    run = work / "run"
    asked = [*command, "--out", str(run), *(("--store", str(work / "store")) if number % 2 else ())]
    kills, wrong = [], []
    for _ in range(KILLS_A_TRIAL):
        how, delay = chance.choice((signal.SIGKILL, signal.SIGTERM)), chance.uniform(0.0, seconds)
        before = _left_over(run)  # by a SIGKILL; it stays where the next signal comes before the run begins
        child = started(asked, work / "killed.log")
        wait_for(child, delay)
        os.kill(child, how)
        code = ended(child)
        wrong += _wrong_end(how, code, run, (work / "killed.log").read_text(encoding="utf-8"))
        if how is signal.SIGTERM and code != -signal.SIGTERM and not before:
            wrong += _left_over(run)
        jobs = len(list(run.glob("jobs/*/observations.parquet")))
        kills.append({"signal": how.name, "after": round(delay, 3), "code": code, "jobs": jobs})
    again = ended(started(asked, work / "resumed.log"))
    if again not in _VERDICTS:
        wrong.append(f"the resumed run ended with {again}: {(work / 'resumed.log').read_text(encoding='utf-8')[-500:]}")
    wrong += _left_over(run)
    return {"trial": number, "kills": kills, "digest": digest_of(run), "wrong": wrong}


def _wrong_end(how: signal.Signals, code: int, run: Path, log: str) -> Iterator[str]:
    """What is wrong with how a run ended that got a signal; one that was faster than it has a verdict."""
    if how is signal.SIGKILL:
        if code not in (-signal.SIGKILL, *_VERDICTS):
            yield f"ended with {code} on SIGKILL: {log[-500:]}"
        return
    if code not in (INTERRUPTED, -signal.SIGTERM, *_VERDICTS):
        yield f"ended with {code} on SIGTERM: {log[-500:]}"
    begun = re.search(r"^\d+ jobs", log, re.MULTILINE) is not None
    if code == INTERRUPTED and begun and f"rerun with --out {run} to resume" not in log:
        yield f"gave no hint how to resume: {log[-500:]}"


def _left_over(run: Path) -> list[str]:
    found = [path.name for path in run.rglob(".*") if path.name != ".lock"] if run.exists() else []
    return [f"left over: {', '.join(found)}"] if found else []


def trials(kills: int, seed: int, out: Path) -> Iterator[dict[str, Any]]:
    """All trials, those of an earlier call first."""
    torch.set_num_threads(1)
    os.environ["HF_HUB_OFFLINE"] = "1"
    out.mkdir(parents=True, exist_ok=True)
    command = prepared(out)
    right, seconds = undisturbed(command, out)
    kept = out / "kills.jsonl"
    known = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    count = -(-kills // KILLS_A_TRIAL)
    yield from known[:count]
    for number in range(len(known), count):
        found = trial(number, seed, command, out, seconds)
        if found["digest"] != right:
            found["wrong"].append(f"the digest is {found['digest'] or 'missing'}, and that of the first run {right}")
        with kept.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(found) + "\n")
        if not found["wrong"]:
            shutil.rmtree(out / f"trial-{number}")
        yield found


def counted(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How many kills there were, where they came, and how many trials went wrong."""
    kills = [kill for one in found for kill in one["kills"]]
    stopped = [kill for kill in kills if kill["code"] not in _VERDICTS]
    return {
        "kills": len(kills),
        "before the end": len(stopped),
        "with jobs done": sum(kill["jobs"] > 0 for kill in stopped),
        "of SIGKILL": sum(kill["signal"] == "SIGKILL" for kill in kills),
        "trials": len(found),
        "trials that went wrong": sum(bool(one["wrong"]) for one in found),
        "evidence digests": len({one["digest"] for one in found}),
    }


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/kills"))
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    found = list(trials(given.kills, given.seed, given.out.resolve()))
    for one in found:
        for line in one["wrong"]:
            print(f"trial {one['trial']}: {line}")
    counts = counted(found)
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    if given.keep is not None:
        machine = {"python": platform.python_version(), "system": platform.system(), "cores": os.cpu_count()}
        given.keep.write_text(json.dumps({"machine": machine, **counts}, indent=1) + "\n", encoding="utf-8")
    return 1 if counts["trials that went wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
