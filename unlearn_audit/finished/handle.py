"""A finished audit in Python: its verdict, its tables, its figures and its reports. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_audit.api.problems import one_of
from unlearn_audit.api.writer import Material
from unlearn_audit.errors import AuditError
from unlearn_audit.evidence.manifest import PLAN, RESULT
from unlearn_audit.finished.redecide import material_of, redecide, written
from unlearn_audit.finished.trackers import Tracker, log_to
from unlearn_audit.report import write_to, writer_named
from unlearn_audit.report.formats import notebook, tables
from unlearn_audit.report.formats.figure import Figure, drawings, one_figure
from unlearn_audit.report.sections.summary import headline
from unlearn_audit.spec.given import policy_given
from unlearn_audit.spec.policy import Policy
from unlearn_audit.spec.spec import load_waivers
from unlearn_audit.verdict.result import Outcome, Result, Verdict

if TYPE_CHECKING:
    import pandas as pd

_MOST_NAMED = 5
_FORMATS = {
    ".html": "html",
    ".pdf": "pdf",
    ".md": "md",
    ".json": "json",
    ".csv": "csv",
    ".parquet": "parquet",
    ".xml": "junit",
    ".sarif": "sarif",
}


@dataclass(frozen=True)
class Audit:
    """A finished audit. In a notebook it shows its verdict and the findings that decide.

    Attributes:
        run: its run directory.
        result: all that `result.json` holds; its fields are stable under one `schema_version`.
    """

    run: Path
    result: Result

    @property
    def outcome(self) -> Outcome:
        """`PASS`, `WAIVED`, `FAIL`, `INCONCLUSIVE` or `ERROR`; its `exit_code` is that of the command line."""
        return self.result.outcome

    @property
    def verdict(self) -> Verdict:
        """The decision: outcome, the sentence that says it, its reasons, its findings as records, utility."""
        return self.result.verdict

    @cached_property
    def findings(self) -> pd.DataFrame:
        """One row per finding, with its numbers at its worst cell.

        Columns: `finding`, `attack`, `probe`, `measure`, `status`, `gates` (it decides); `dose` and `variant` of the
        worst cell; `checkpoint`, `original` and `control` (the controls' mean), shares in [0, 1]; `excess` beyond the
        margin with `lower` and `upper`; `bound` (a pass needs at most 0), `recovered`, `margin`, `p_value`,
        `holm_p_value`, `subjects`, `facts`, `reason`. A number that there is none of is NaN.
        """
        return tables.findings_frame(self.verdict.findings)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row per dose and way of asking of every finding: `finding`, `dose_value`, and shares as in `findings`."""
        return tables.cells_frame(self.verdict.findings)

    @cached_property
    def observations(self) -> pd.DataFrame:
        """One row per score: what one role's model showed of one fact, at one dose, asked in one way.

        Columns: `role`, `model`, `attack`, `seed`, `sham`, `dose`, `dose_value`, `probe`, `measure`, `variant`,
        `fact_id`, `score` in [0, 1] (higher is more of the knowledge shown; NaN where `missing` says why),
        `twin_score`, `placebo_score`, `missing`, `subject` (a pseudonym) and `relation`; as in the formats `csv` and
        `parquet`. It is read from disk the first time.

        Raises:
            IntegrityError: the evidence is not what the result was made from.
        """
        return tables.ordered(self._material.observations())

    @cached_property
    def figures(self) -> tuple[str, ...]:
        """Names of the figures that this audit has."""
        return tuple(name for name, draw in drawings(self.result).items() if draw() is not None)

    def figure(self, name: str) -> Figure:
        """A figure of the report: `forest`, `doses`, `tradeoff`, `quantizers`, `layers` or `roc`.

        Raises:
            AuditError: there is no such figure, or this audit has nothing to draw in it.
        """
        return one_figure(self.result, name)

    def report(self, path: str | Path, format: str | None = None) -> Path:
        """Writes a report and returns where.

        Args:
            path: a file, or a folder, which gets the format's own file name.
            format: one of `unlearn-audit list writers`; by default what the ending says (`.html`, `.md`, `.json`,
                `.csv`, `.parquet`, `.xml` for JUnit, `.sarif`).

        Raises:
            SpecError: there is no such format.
            AuditError: no format is named, and the ending says none; or the folder is not there.
        """
        target = Path(path)
        writer = writer_named(format or _format_of(target))
        target = target / writer.file_name if target.is_dir() else target
        (done,) = write_to(self._material, [(writer, target)])
        return done

    def gate(
        self, policy: Policy | Mapping[str, Any] | str | Path | None = None, waivers: str | Path | None = None
    ) -> Audit:
        """The same evidence, decided again: what `unlearn-audit gate` does. Nothing on disk changes.

        Args:
            policy: one, its keys and values, or a `policy.yaml`; by default the run's own.
            waivers: a `waivers.yaml`; by default the run's own.

        Raises:
            SpecError: the policy or the waivers cannot be read.
            IntegrityError: the run's files are not what the run wrote.
        """
        chosen = None if policy is None else policy_given(policy)
        result = redecide(self.run, chosen, None if waivers is None else load_waivers(Path(waivers)))
        return Audit(run=self.run, result=result)

    def log_to(self, tracker: str) -> None:
        """Logs settings, numbers and reports to `mlflow` or `wandb` (extras): into the active run, or one of its own.

        Raises:
            SpecError: it is another.
            MissingExtraError: the library is not installed.
        """
        log_to(one_of(Tracker, tracker, "tracker"), self.run, self.result)

    @property
    def _material(self) -> Material:
        return material_of(self.run, self.result)

    def __repr__(self) -> str:
        return f"<Audit {self.run}: {self.outcome}. {headline(self.result)}>"

    def _repr_html_(self) -> str:
        return notebook.render(self.result)


def load(run: str | Path) -> Audit:
    """A finished run. Needs no torch.

    Raises:
        AuditError: there is none in that directory, or it cannot be read.
        IntegrityError: its `result.json` is not what the run wrote.
    """
    directory = Path(run)
    if not (directory / RESULT).is_file():
        raise AuditError(f"{directory}: {_why_none(directory)}")
    return Audit(run=directory, result=written(directory))


def _why_none(directory: Path) -> str:
    """Why no audit can be loaded from a directory, and what to do."""
    if not directory.is_dir():
        return "expected the run directory of an audit, and there is none; check the path"
    if (directory / PLAN).is_file():
        return "this audit has not ended; call the same `audit` or `unlearn-audit run` again, and it continues"
    runs = sorted(path.parent.name for path in directory.glob(f"*/{RESULT}"))
    hint = f"load one of its folders: {', '.join(runs[:_MOST_NAMED])}" if runs else "check the path"
    return f"expected the run directory of an audit, and it has no {RESULT}; {hint}"


def _format_of(path: Path) -> str:
    if path.suffix not in _FORMATS:
        endings = ", ".join(_FORMATS)
        raise AuditError(f"{path}: expected one of {endings}; or name the format, e.g. format='model-card'")
    return _FORMATS[path.suffix]
