"""A run as its directory tells it: running, finished or broken off. Reads, and never writes, locks or waits there."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from unlearn_audit.audit.telling.found_so_far import Leading
from unlearn_audit.audit.telling.scene import About, Scene, State
from unlearn_audit.errors import AuditError, SpecError
from unlearn_audit.evidence.directory import JOBS, LOCK, is_at_work
from unlearn_audit.evidence.files import EVENTS, read_json
from unlearn_audit.evidence.manifest import MANIFEST, PLAN, RESULT, SHARD, SPEC
from unlearn_audit.plan.plan import Job, Plan

_ENDINGS = {"stopped": State.STOPPED, "error": State.BROKEN}
_MEANS = "means"


class Watched:
    """Looks at a run directory again and again.

    Attributes:
        scene: what was seen at the last look.
        exit_code: of the verdict; None where there is none.
    """

    def __init__(self, run: Path) -> None:
        if not run.is_dir() or not any((run / name).exists() for name in (LOCK, SPEC, PLAN, RESULT)):
            raise SpecError(f"{run}: expected a run directory, the --out of a run that has begun; check the path")
        self._run = run
        self._time: float | None = None
        self._begin_anew()

    def look(self) -> Scene:
        """The scene as the directory now tells it."""
        self._read_plan()
        for event in self._new_events():
            with suppress(KeyError, TypeError, ValueError, AttributeError):  # of another version, or torn
                self._hear(event)
        self._time = None
        self._read_jobs()
        self._read_end()
        return self.scene

    def _begin_anew(self) -> None:
        self.scene = Scene(clock=self._clock)
        self.exit_code: int | None = None
        self._planned: tuple[int, int] | None = None
        self._jobs: dict[str, Job] = {}
        self._offset, self._ending = 0, State.GONE
        self._read: set[str] = set()

    def _clock(self) -> float:
        """The time of the event that is told again, or now."""
        return time.time() if self._time is None else self._time

    def _read_plan(self) -> None:
        """The plan, where it is there and is another than before."""
        try:
            stat = (self._run / PLAN).stat()
        except OSError:
            return
        seen = (stat.st_mtime_ns, stat.st_ino)
        if seen == self._planned:
            return
        with suppress(AuditError):  # of another version: what it found is still told
            plan = Plan.read(self._run / PLAN)
            self._begin_anew()
            self._jobs = {job.key: job for job in plan.jobs}
            self.scene.jobs = dict(self._jobs)
            self.scene.about = About.of(plan, plan.case)
        self._planned = seen

    def _new_events(self) -> Iterator[dict[str, Any]]:
        """Whole lines that came since the last look; a line that is being written is left for the next."""
        try:
            with (self._run / EVENTS).open("rb") as file:
                file.seek(0, 2)
                if file.tell() < self._offset:
                    self._offset = 0
                file.seek(self._offset)
                content = file.read()
        except OSError:
            return
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            with suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    yield event

    def _hear(self, event: Mapping[str, Any]) -> None:
        """Tells the scene an event as the run told it."""
        self._time = datetime.fromisoformat(event["time"]).timestamp()
        kind, job = event["event"], self._jobs.get(event.get("job", ""))
        if kind == "begin":
            self._ending = State.GONE
            self._read.clear()  # the evidence says what is still there
            kept = [one for one in self._jobs.values() if self._is_stored(one.key)]
            self.scene.begin(list(self._jobs.values()), kept[: event["kept"]])
        elif kind in _ENDINGS:
            self._ending = _ENDINGS[kind]
            self.scene.say(f"error: {event['message']}" if kind == "error" else "interrupted")
        elif kind == "loading":
            self.scene.say(f"loading {event['model']}")
        elif kind == "preparing":
            self.scene.say(f"{event['name']}: preparing on the original")
        elif kind == "leading":
            fields = {name: value for name, value in event.items() if name not in ("time", "event")}
            self.scene.lead(Leading(**fields))
        elif job is not None:
            self._hear_of(job, kind, event)
        if "seconds_left" in event:
            self.scene.seconds_left = (float(event["seconds_left"]), self._time)

    def _hear_of(self, job: Job, kind: str, event: Mapping[str, Any]) -> None:
        if kind == "started":
            self.scene.started(job)
        elif kind == "working":
            dose, probe, of = event["dose"], event["probe"], event["of"]
            how_far = f", {event['done']} of {of}" if of else ""
            self.scene.running[job.key] = (job, f"{dose}: {probe}{how_far}" if probe else "the attack is at work")
        elif kind == "probe":
            self.scene.probed(job, event["dose"], event["probe"], event["scores"])
        elif kind in ("done", "fault"):
            self._read.add(job.key)
            self.scene.finished(job, event["seconds"], event.get("message"))
        elif kind == "skipped":
            self.scene.skipped(job, event["message"])

    def _is_stored(self, key: str) -> bool:
        return (self._run / JOBS / key / "job.json").is_file()

    def _read_jobs(self) -> None:
        """What the evidence has that no event told of: jobs of earlier runs, and of runs that tell nothing."""
        for key, job in self._jobs.items():
            if key in self._read or not self._is_stored(key):
                continue
            with suppress(AuditError, AttributeError):
                means = read_json(self._run / JOBS / key / "job.json").get(_MEANS) or {}
                self.scene.kept(job, means)
                self._read.add(key)

    def _read_end(self) -> None:
        """How it stands with the run."""
        at_work = is_at_work(self._run)
        self.exit_code, self.scene.outcome, self.scene.sentence = None, "", ""
        if at_work is not False and not (at_work is None and self._is_sealed()):
            self.scene.state = State.RUNNING if at_work else State.UNKNOWN
            return
        self.scene.running.clear()
        if self._is_sealed():
            with suppress(AuditError, KeyError, TypeError):
                result = read_json(self._run / RESULT)
                self.scene.outcome, self.scene.sentence = str(result["outcome"]), str(result["verdict"]["sentence"])
                self.exit_code = int(result["exit_code"])
                self.scene.state = State.FINISHED
                return
        self.scene.state = State.PART if (self._run / SHARD).is_file() else self._ending

    def _is_sealed(self) -> bool:
        return (self._run / MANIFEST).is_file() and (self._run / RESULT).is_file()
