"""What probes make once for all roles: texts of a generator before any model is loaded, and choices on the original.

What was made is kept with the evidence, under a key that the jobs of the probe depend on. A probe that makes something
has jobs of its own, so that a failure costs its own findings and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from unlearn_audit.api import Json, Probe, derive_seed
from unlearn_audit.errors import AttackError
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.models.engine import Engine
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.plan import Job
from unlearn_audit.run.isolation import log_traceback, message_of, own_randomness, untouched

SUMMARY = "summary"


@dataclass(kw_only=True)
class ProbePreparing:
    """The preparations of a run's probes.

    Attributes:
        tell: is called with a probe's name before it prepares.
        faults: probe -> why it could not.
    """

    live: LivePlan
    store: EvidenceStore
    tell: Callable[[str], None] = lambda _: None
    faults: dict[str, str] = field(default_factory=dict)

    def unwritten(self) -> list[str]:
        """Probes with jobs to run, for which the generator is still to write."""
        return self._waiting(self.live.plan.written_keys)

    def write(self, generator: Engine) -> None:
        """Lets the generator write for each of them."""
        for name in self.unwritten():
            probe = self.live.probes[name]
            self._make(
                name, generator, probe, probe.write, self.live.plan.written_keys[name], "write with the generator"
            )

    def unprepared(self) -> list[str]:
        """Probes with jobs to run that are still to prepare on the original."""
        return self._waiting(self.live.plan.probe_keys)

    def prepare(self, original: Engine, name: str) -> None:
        """Lets one of them prepare; it sees what the generator wrote."""
        if name not in self.faults:
            probe = self.live.probes[name].prepared_with(self._notes(name))
            self._make(name, original, probe, probe.prepare, self.live.plan.probe_keys[name], "prepare on the original")

    def fail(self, names: list[str], message: str) -> None:
        """Notes that something could not be made for some probes."""
        self.faults.update(dict.fromkeys(names, message))

    def bound(self, job: Job) -> tuple[LivePlan, dict[str, dict[str, Json]]]:
        """The plan with the job's probe bound to what was made for it, and counts for the proof.

        Raises:
            AttackError: it could not be made, or is gone: no default stands in for it.
        """
        name = job.own_probe
        if name is None:
            return self.live, {}
        wanted = [keys[name] for keys in (self.live.plan.written_keys, self.live.plan.probe_keys) if name in keys]
        if name in self.faults or not all(self.store.has(key) for key in wanted):
            raise AttackError(f"probe {name}: {self.faults.get(name, 'what it prepared is missing')}")
        notes = self._notes(name)
        probes = {**self.live.probes, name: self.live.probes[name].prepared_with(notes)}
        summary = notes.get(SUMMARY)
        return replace(self.live, probes=probes), {name: dict(summary)} if isinstance(summary, Mapping) else {}

    def _notes(self, name: str) -> dict[str, Json]:
        """All that was made for a probe so far; the counts of both steps side by side."""
        found: dict[str, Json] = {}
        summary: dict[str, Json] = {}
        for keys in (self.live.plan.written_keys, self.live.plan.probe_keys):
            note = self.live.withheld.opened((self.store.note(keys[name]) if name in keys else None) or {})
            found |= note
            summary |= note.get(SUMMARY) or {}
        return {**found, SUMMARY: summary} if summary else found

    def _waiting(self, keys: Mapping[str, str]) -> list[str]:
        waiting = {job.own_probe for job in self.live.plan.jobs if not self.store.has(job.key)}
        return [name for name, key in keys.items() if name in waiting and not self.store.has(key)]

    def _make(
        self, name: str, engine: Engine, probe: Probe[Any], make: Callable[..., Mapping[str, Json]], key: str, what: str
    ) -> None:
        self.tell(name)
        title, made = f"probe {name}, preparing", None
        with untouched(engine, title):
            try:
                with own_randomness(derive_seed(self.live.plan.spec.seed, "probe", name)):
                    made = dict(make(engine, self.live.pool(probe.reads)))
            except (
                Exception
            ) as error:  # a plug-in's failure is evidence: an ERROR of its findings, never a silent default
                log_traceback(self.store.run, title)
                self.faults[name] = f"could not {what}: {message_of(error)}"
        if made is not None:
            self.store.put_note(key, self.live.withheld.sealed(made))
