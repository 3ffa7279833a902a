"""Evidence on disk: one directory a job, each appearing whole by an atomic rename. Pure data; loads no model.

A job's observations carry no role: the same weights under the same attack give the same evidence, whatever they are
called, so that jobs can be shared between audits. The role is added when they are read back through the plan.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearn_audit.api import Json
from unlearn_audit.errors import AuditError, IntegrityError
from unlearn_audit.evidence.files import read_json, write_json
from unlearn_audit.evidence.old_names import ATTACKS
from unlearn_audit.evidence.records import JobRecord

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "dose": "str",
    "dose_value": "float64",
    "probe": "str",
    "measure": "str",
    "variant": "str",
    "fact_id": "str",
    "score": "float64",
    "twin_score": "float64",
    "placebo_score": "float64",
    "missing": "object",
}
SCORE_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class JobEvidence:
    """What one job gave: rows with the keys of COLUMNS, proof by dose, and events."""

    rows: Sequence[Mapping[str, Any]]
    proof: Mapping[str, Mapping[str, Json]]
    events: Sequence[str] = ()
    seconds: float = 0.0
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
        for directory in filter(None, (run, self._jobs, shared)):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def has(self, key: str) -> bool:
        """Whether the job is done, here or in the shared store (from where it is then copied)."""
        if (self._jobs / key / self._about).is_file():
            return True
        if self._shared is None or not (self._shared / key / self._about).is_file():
            return False
        with self._appearing(self._jobs / key) as directory:
            shutil.copytree(self._shared / key, directory, dirs_exist_ok=True)
        return True

    def put(self, key: str, evidence: JobEvidence) -> None:
        """Stores a finished job, whole or not at all."""
        self._check()
        frame = observation_frame(evidence.rows)
        about = {
            **evidence.about,
            "seconds": round(evidence.seconds, 3),
            "proof": evidence.proof,
            "events": list(evidence.events),
            "observations": len(frame),
            "digest": frame_digest(frame),
        }
        with self._appearing(self._jobs / key) as directory:
            frame.to_parquet(directory / "observations.parquet", index=False)
            write_json(directory / self._about, about)
        self._share(key)

    def put_note(self, key: str, note: Mapping[str, Json]) -> None:
        """Stores something that is not an observation: what an attack prepared, how a model was loaded."""
        self._check()
        with self._appearing(self._jobs / key) as directory:
            write_json(directory / self._about, note)
        self._share(key)

    def note(self, key: str) -> dict[str, Any] | None:
        """A note that was stored under the key, or None."""
        return self.about(key) if self.has(key) else None

    def put_arrays(self, key: str, arrays: Mapping[str, np.ndarray[Any, Any]], about: Mapping[str, Json]) -> None:
        """Stores what a comparison took from a model, whole or not at all; numbers only."""
        self._check()
        with self._appearing(self._jobs / key) as directory:
            np.savez_compressed(directory / "features.npz", **arrays)  # type: ignore[arg-type]
            write_json(directory / self._about, {**about, "digest": arrays_digest(arrays)})
        self._share(key)

    def arrays(self, key: str) -> dict[str, np.ndarray[Any, Any]]:
        """Stored arrays, checked against their digest.

        Raises:
            IntegrityError: the file is not what was written.
        """
        path = self._jobs / key / "features.npz"
        found = _load_arrays(path)
        if arrays_digest(found) != self.about(key)["digest"]:
            raise IntegrityError(f"{path}: does not match its digest; delete the job and rerun")
        return found

    def hand_on(self, key: str, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Keeps arrays for as long as the run has models to show them to: never shared, and never evidence."""
        self._handed.mkdir(mode=0o700, exist_ok=True)
        with self._appearing(self._handed / key) as directory:
            np.savez_compressed(directory / "features.npz", **arrays)  # type: ignore[arg-type]

    def has_handed(self, key: str) -> bool:
        """Whether arrays are there for handing on."""
        return (self._handed / key).is_dir()

    def handed(self, key: str) -> dict[str, np.ndarray[Any, Any]]:
        """Those arrays; none where there are none."""
        return _load_arrays(self._handed / key / "features.npz") if self.has_handed(key) else {}

    def drop_handed(self) -> None:
        """Throws them all away."""
        shutil.rmtree(self._handed, ignore_errors=True)

    @property
    def _handed(self) -> Path:
        return self.run / "handed-on"

    def _share(self, key: str) -> None:
        if self._shared is not None and not (self._shared / key).exists():
            with self._appearing(self._shared / key) as directory:
                shutil.copytree(self._jobs / key, directory, dirs_exist_ok=True)

    def about(self, key: str) -> dict[str, Any]:
        """A finished job's job.json."""
        content = read_json(self._jobs / key / self._about)
        if not isinstance(content, dict):
            raise AuditError(f"{self._jobs / key}: damaged job; delete it and rerun")
        return content

    def observations(self, key: str) -> pd.DataFrame:
        """A finished job's observations, checked against their digest.

        Raises:
            IntegrityError: the file is not what was written.
        """
        import pandas as pd

        path = self._jobs / key / "observations.parquet"
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

    def _check(self) -> None:
        if self.guard is not None:
            self.guard()

    @contextlib.contextmanager
    def _appearing(self, target: Path) -> Iterator[Path]:
        """A directory that takes its name only when it is complete. Two processes may write the same one."""
        scratch = Path(tempfile.mkdtemp(prefix=".writing-", dir=target.parent))
        try:
            yield scratch
            shutil.rmtree(target, ignore_errors=True)
            try:
                scratch.rename(target)
            except OSError:
                if not target.is_dir():  # else another process wrote the same job in between
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _load_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise AuditError(f"{path}: cannot be read ({error}); delete the job and rerun") from error


def observation_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a frame with the columns of COLUMNS, in a canonical order."""
    import pandas as pd

    frame = pd.DataFrame(list(rows), columns=list(COLUMNS)).astype(COLUMNS)
    return frame.sort_values(["dose", "probe", "measure", "variant", "fact_id"], ignore_index=True)


def frame_digest(frame: pd.DataFrame) -> str:
    """SHA-256 over the rows in sorted order, scores to six digits (beyond that, hardware speaks)."""
    lines = sorted(map("\x1f".join, zip(*(_tokens(frame[name]) for name in frame.columns), strict=True)))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def arrays_digest(arrays: Mapping[str, np.ndarray[Any, Any]]) -> str:
    """SHA-256 over named arrays: names, types, shapes and bytes."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found.update(f"{name}\x1f{array.dtype.str}\x1f{array.shape}\x1f".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def evidence_digest(observations: pd.DataFrame) -> str:
    """SHA-256 over all observations with their roles: equal for equal evidence, in whatever order it came."""
    # An attack that has another name today goes in under its first one: a digest outlives a name.
    first = {new: old for old, new in ATTACKS.items()}
    named = observations.assign(attack=observations["attack"].astype(str).replace(first))
    return frame_digest(named[sorted(named.columns)])


def _tokens(column: pd.Series[Any]) -> list[str]:
    """Each value as text, made once for equal values: a column has few."""
    import pandas as pd

    values = column.to_numpy()
    if values.dtype == np.float64:  # by its bits, for which 0.0 is not -0.0
        places, bits = pd.factorize(values.view(np.int64))
        found = bits.view(np.float64)
    else:
        places, found = pd.factorize(values)
    texts = [*map(_token, found.tolist()), ""]  # the last for what is absent, whose place is -1
    return [texts[place] for place in places]


def _token(value: object) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.{SCORE_DIGITS}f}" if isinstance(value, float) else str(value)
