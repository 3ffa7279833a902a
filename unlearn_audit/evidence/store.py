"""Evidence on disk: one directory a job, each appearing whole by an atomic rename. Pure data; loads no model.

A job's observations carry no role: the same weights under the same attack give the same evidence, whatever they are
called, so that jobs can be shared between audits. The role is added when they are read back through the plan.

A job that is not what was written is set aside, with a notice, and counts as not done: `soundness` says what it has to
be. Who reads a finished run asks for its jobs by the result's records, and a damaged one is refused.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearn_audit.api import Json
from unlearn_audit.errors import AuditError, IntegrityError, Notice, SpecError
from unlearn_audit.evidence.arrays import arrays_digest, load_arrays
from unlearn_audit.evidence.costs import CostRecord
from unlearn_audit.evidence.files import SCRATCH, WRITING, read_json, write_json
from unlearn_audit.evidence.observations import frame_digest, observation_frame
from unlearn_audit.evidence.records import JobRecord
from unlearn_audit.evidence.soundness import FEATURES, OBSERVATIONS, Holds, flaw_of, sealed, unsealed

if TYPE_CHECKING:
    import pandas as pd

DAMAGED = "damaged"
_ABANDONED = 3600
"""Seconds after which a half-written job in a shared store is nobody's any more."""


@dataclass(frozen=True, kw_only=True)
class JobEvidence:
    """What one job gave: rows with the keys of COLUMNS, proof by dose, and events; and what it cost."""

    rows: Sequence[Mapping[str, Any]]
    proof: Mapping[str, Mapping[str, Json]]
    events: Sequence[str] = ()
    cost: CostRecord = field(default_factory=CostRecord)
    about: Mapping[str, Json] = field(default_factory=dict)


class EvidenceStore:
    """The jobs of a run directory, with an optional store shared between runs behind it.

    Model answers are never stored, but scores are about the very data that should be gone: directories are 0700.

    Attributes:
        guard: is called before anything is kept; raises if that would be evidence of something else than its key says.
    """

    def __init__(self, run: Path, shared: Path | None = None) -> None:
        self.run = run
        self.guard: Callable[[], None] | None = None
        old = (run / "cells").is_dir() and not (run / "jobs").exists()  # a run from before jobs had that name
        self._jobs, self._about = (run / "cells", "cell.json") if old else (run / "jobs", "job.json")
        self._shared = shared
        self._sound: set[str] = set()
        self._unsound_shared: set[str] = set()
        for directory in filter(None, (run, self._jobs, shared)):
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise SpecError(f"{directory}: expected a directory for evidence ({error.strerror})") from error
        if shared is not None:
            _clear_abandoned(shared)

    def has(self, key: str) -> bool:
        """Whether the job is done, here or in the shared store (from where it is then copied).

        What is there and is not what was written is moved to `damaged/`, or left alone in the shared store.
        """
        if key in self._sound:
            return True
        place = self._jobs / key
        if os.path.lexists(place):
            flaw = flaw_of(place, key, self._about)
            if flaw is None:
                self._sound.add(key)
                return True
            self._set_aside(place, flaw)
        return self._fetch(key)

    def _set_aside(self, place: Path, flaw: str) -> None:
        """Moves a damaged job away, where nothing takes it for evidence."""
        folder = self.run / DAMAGED
        folder.mkdir(mode=0o700, exist_ok=True)
        taken = len([path for path in folder.iterdir() if path.name.partition(".")[0] == place.name])
        target = folder / (f"{place.name}.{taken}" if taken else place.name)
        place.rename(target)
        _notice(f"{place}: is damaged ({flaw}); it was moved to {target} and runs again")

    def _fetch(self, key: str) -> bool:
        """Takes a job over from the shared store, if it is there and is what was written."""
        if self._shared is None or key in self._unsound_shared or not os.path.lexists(self._shared / key):
            return False
        with self._scratch() as scratch:
            try:
                _copy_files(self._shared / key, scratch)
                flaw = flaw_of(scratch, key, self._about)
            except OSError as error:
                flaw = f"it cannot be read: {error.strerror}"
            if flaw is None:
                _place(scratch, self._jobs / key)
                self._sound.add(key)
                return True
        self._unsound_shared.add(key)
        _notice(f"{self._shared / key}: is damaged ({flaw}); it is not used, and is replaced when the job is done")
        return False

    def put(self, key: str, evidence: JobEvidence) -> None:
        """Stores a finished job, whole or not at all."""
        frame = observation_frame(evidence.rows)
        about = {
            **evidence.about,
            "seconds": round(evidence.cost.seconds, 3),
            "cost": evidence.cost.model_dump(mode="json"),
            "proof": evidence.proof,
            "events": list(evidence.events),
            "observations": len(frame),
            "digest": frame_digest(frame),
        }
        with self._appearing(key) as directory:
            frame.to_parquet(directory / OBSERVATIONS, index=False)
            write_json(directory / self._about, sealed(about, key, Holds.OBSERVATIONS))

    def put_note(self, key: str, note: Mapping[str, Json]) -> None:
        """Stores something that is not an observation: what an attack prepared, how a model was loaded."""
        with self._appearing(key) as directory:
            write_json(directory / self._about, sealed(note, key, Holds.NOTHING))

    def note(self, key: str) -> dict[str, Any] | None:
        """A note that was stored under the key, or None."""
        return self.about(key) if self.has(key) else None

    def put_arrays(self, key: str, arrays: Mapping[str, np.ndarray[Any, Any]], about: Mapping[str, Json]) -> None:
        """Stores what a comparison took from a model, whole or not at all; numbers only."""
        with self._appearing(key) as directory:
            np.savez_compressed(directory / FEATURES, **arrays)  # type: ignore[arg-type]
            content = {**about, "digest": arrays_digest(arrays)}
            write_json(directory / self._about, sealed(content, key, Holds.ARRAYS))

    def arrays(self, key: str) -> dict[str, np.ndarray[Any, Any]]:
        """Stored arrays, checked against their digest.

        Raises:
            IntegrityError: the file is not what was written.
        """
        path = self._jobs / key / FEATURES
        found = load_arrays(path)
        if arrays_digest(found) != self.about(key)["digest"]:
            raise IntegrityError(f"{path}: does not match its digest; delete the job and rerun")
        return found

    def hand_on(self, key: str, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Keeps arrays for as long as the run has models to show them to: never shared, and never evidence."""
        with self._scratch() as directory:
            np.savez_compressed(directory / FEATURES, **arrays)  # type: ignore[arg-type]
            self._handed.mkdir(mode=0o700, exist_ok=True)
            _place(directory, self._handed / key)

    def has_handed(self, key: str) -> bool:
        """Whether arrays are there for handing on."""
        return (self._handed / key).is_dir()

    def handed(self, key: str) -> dict[str, np.ndarray[Any, Any]]:
        """Those arrays; none where there are none."""
        return load_arrays(self._handed / key / FEATURES) if self.has_handed(key) else {}

    def drop_handed(self) -> None:
        """Throws them all away."""
        shutil.rmtree(self._handed, ignore_errors=True)

    @property
    def shared(self) -> Path | None:
        """The store between runs, if there is one."""
        return self._shared

    @property
    def scratch(self) -> Path:
        """Where everything lies that must not outlive the run; `directory.run_directory` removes it."""
        place = self.run / SCRATCH
        place.mkdir(mode=0o700, exist_ok=True)
        return place

    @property
    def _handed(self) -> Path:
        return self.scratch / "handed-on"

    def about(self, key: str) -> dict[str, Any]:
        """A finished job's job.json."""
        content = read_json(self._jobs / key / self._about)
        if not isinstance(content, dict):
            raise AuditError(f"{self._jobs / key}: damaged job; delete it and rerun")
        return unsealed(content)

    def noted(self, key: str) -> dict[str, Any] | None:
        """A note as it lies in a finished run, or None."""
        return self.about(key) if (self._jobs / key / self._about).is_file() else None

    def observations(self, key: str) -> pd.DataFrame:
        """A finished job's observations, checked against their digest.

        Raises:
            IntegrityError: the file is not what was written.
        """
        import pandas as pd

        path = self._jobs / key / OBSERVATIONS
        try:
            frame = pd.read_parquet(path)
        except Exception as error:  # pyarrow raises many kinds for a damaged file
            raise IntegrityError(f"{path}: cannot be read ({error}); delete the job and rerun") from error
        if frame_digest(frame) != self.about(key)["digest"]:
            raise IntegrityError(f"{path}: does not match its digest; delete the job and rerun")
        return frame

    def gather(self, jobs: Sequence[JobRecord]) -> pd.DataFrame:
        """All observations of a run, with role, model, attack and seed from the jobs' records."""
        import pandas as pd

        frames = []
        for job in jobs:
            if job.status != "done":
                continue
            frame = self.observations(job.key)
            if job.digest != self.about(job.key)["digest"]:
                raise IntegrityError(f"{self._jobs / job.key}: is not the job that the result was made from")
            placed = frame.assign(role=job.role, model=job.model, attack=job.attack, seed=job.seed, sham=job.sham)
            frames.append(placed)
        if not frames:
            empty = observation_frame([])
            return empty.assign(role="", model="", attack="", seed=0, sham=False)
        return pd.concat(frames, ignore_index=True)

    @contextlib.contextmanager
    def _appearing(self, key: str) -> Iterator[Path]:
        """A directory that takes its place only when it is complete; then the shared store gets a copy."""
        with self._scratch() as scratch:
            yield scratch
            if self.guard is not None:
                self.guard()
            _place(scratch, self._jobs / key)
        self._sound.add(key)
        if self._shared is None or (key not in self._unsound_shared and (self._shared / key).exists()):
            return
        with self._scratch(self._shared) as scratch:
            _copy_files(self._jobs / key, scratch)
            _place(scratch, self._shared / key)
        self._unsound_shared.discard(key)

    @contextlib.contextmanager
    def _scratch(self, home: Path | None = None) -> Iterator[Path]:
        """An empty directory, in the run's scratch space or elsewhere; gone afterwards, unless it took its place."""
        scratch = Path(tempfile.mkdtemp(prefix=WRITING, dir=home or self.scratch))
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _place(scratch: Path, target: Path) -> None:
    """Gives a complete directory its name. Two processes may do so at once, with the same content."""
    if target.is_file() or target.is_symlink():
        target.unlink()
    shutil.rmtree(target, ignore_errors=True)
    try:
        scratch.rename(target)
    except OSError:
        if not target.is_dir():  # else another process wrote the same job in between
            raise


def _copy_files(job: Path, target: Path) -> None:
    """Copies a job's files, and not their modes."""
    for path in job.iterdir():
        if path.is_file():
            shutil.copyfile(path, target / path.name)


def _clear_abandoned(shared: Path) -> None:
    """Removes what a run that was killed left half-written in a shared store; another run may be at work there."""
    for path in shared.glob(f"{WRITING}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED:
                shutil.rmtree(path, ignore_errors=True)


def _notice(text: str) -> None:
    warnings.warn(text, Notice, stacklevel=3)
