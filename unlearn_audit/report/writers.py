"""The writers that come with the tool. Each imports what it writes with when it is first asked to write."""

from __future__ import annotations

from typing import ClassVar

from unlearn_audit.api.writer import Material, Needs, Writer
from unlearn_audit.errors import AuditError
from unlearn_audit.evidence.published import Metrics
from unlearn_audit.verdict.result import Result


class Json(Writer):
    """`result.json`: everything, in canonical form, for machines."""

    name: ClassVar[str] = "json"
    summary: ClassVar[str] = "The whole result in canonical form; every other format is made from it."
    file_name: ClassVar[str] = "result.json"

    def render(self, material: Material) -> str:
        """The result as canonical JSON."""
        from unlearn_audit.report.formats import json as as_json

        return as_json.render(result_of(material))


class Markdown(Writer):
    """The report for a pull request, an issue or a step summary."""

    name: ClassVar[str] = "md"
    summary: ClassVar[str] = "The report in GitHub's Markdown, below 65,000 characters: fits a step summary."
    file_name: ClassVar[str] = "report.md"

    def render(self, material: Material) -> str:
        """The report as Markdown."""
        from unlearn_audit.report.formats import markdown

        return markdown.render(result_of(material))


class Html(Writer):
    """The report to read, to mail and to sign."""

    name: ClassVar[str] = "html"
    summary: ClassVar[str] = "The report with its figures as one static page, below 1 MB."
    file_name: ClassVar[str] = "report.html"

    def render(self, material: Material) -> str:
        """The report as one HTML file."""
        from unlearn_audit.report.formats import html

        return html.render(result_of(material))


class Pdf(Writer):
    """The page on paper, to file and to sign by hand."""

    name: ClassVar[str] = "pdf"
    summary: ClassVar[str] = "The HTML page as PDF, printed by the Chromium or Chrome of this machine."
    file_name: ClassVar[str] = "report.pdf"
    binary: ClassVar[bool] = True

    def render(self, material: Material) -> bytes:
        """The page as PDF."""
        from unlearn_audit.report import printing

        return printing.render(result_of(material))


class JUnit(Writer):
    """A test case per finding, for any viewer of test results."""

    name: ClassVar[str] = "junit"
    summary: ClassVar[str] = "JUnit XML, a test case per finding; inconclusive is an error, and no case is skipped."
    file_name: ClassVar[str] = "junit.xml"

    def render(self, material: Material) -> str:
        """The findings as JUnit XML."""
        from unlearn_audit.report.formats import junit

        return junit.render(result_of(material))


class Sarif(Writer):
    """An alert for every finding that did not pass, for code scanning."""

    name: ClassVar[str] = "sarif"
    summary: ClassVar[str] = "SARIF 2.1.0 for code scanning: what did not pass, located by lines of result.json."
    file_name: ClassVar[str] = "report.sarif"

    def render(self, material: Material) -> str:
        """What did not pass, as SARIF."""
        from unlearn_audit.report.formats import sarif

        return sarif.render(result_of(material))


class Csv(Writer):
    """The scores in a table that is safe to open in a spreadsheet."""

    name: ClassVar[str] = "csv"
    summary: ClassVar[str] = "Every observation as a row of CSV; formulas are escaped for spreadsheets."
    file_name: ClassVar[str] = "observations.csv"
    needs: ClassVar[Needs] = Needs.OBSERVATIONS

    def render(self, material: Material) -> str:
        """The observations as CSV."""
        from unlearn_audit.report.formats import tables

        return tables.as_csv(material.observations())


class Parquet(Writer):
    """The scores in a table with types, unchanged."""

    name: ClassVar[str] = "parquet"
    summary: ClassVar[str] = "Every observation as a row of Parquet, unchanged: for pandas, polars or DuckDB."
    file_name: ClassVar[str] = "observations.parquet"
    needs: ClassVar[Needs] = Needs.OBSERVATIONS
    binary: ClassVar[bool] = True

    def render(self, material: Material) -> bytes:
        """The observations as Parquet."""
        from unlearn_audit.report.formats import tables

        return tables.as_parquet(material.observations())


class ModelCard(Writer):
    """The head of a model card, written by huggingface_hub's classes."""

    name: ClassVar[str] = "model-card"
    summary: ClassVar[str] = "A README block for the model hub: `model-index` metadata and the audit's verdict."
    file_name: ClassVar[str] = "model-card.md"

    def render(self, material: Material) -> str:
        """The block."""
        from unlearn_audit.report.formats import model_card

        return model_card.render(result_of(material))


class EveryEvalEver(Writer):
    """A record for the shared database of evaluations."""

    name: ClassVar[str] = "every-eval-ever"
    summary: ClassVar[str] = "A record in the schema of Every Eval Ever, version 0.3.0."
    file_name: ClassVar[str] = "every-eval-ever.json"

    def render(self, material: Material) -> str:
        """The record."""
        from unlearn_audit.report.formats import every_eval_ever

        return every_eval_ever.render(result_of(material))


class InspectLog(Writer):
    """A log for Inspect's viewer and data frames."""

    name: ClassVar[str] = "inspect"
    summary: ClassVar[str] = "A log of Inspect (inspect-ai), a score per finding; without samples."
    file_name: ClassVar[str] = "inspect.json"

    def render(self, material: Material) -> str:
        """The log."""
        from unlearn_audit.report.formats import inspect_log

        return inspect_log.render(result_of(material))


class EvalResults(Writer):
    """The figures of `run --metrics` for a model's page on the hub."""

    name: ClassVar[str] = "eval-results"
    summary: ClassVar[str] = "The figures of `run --metrics` for a model's folder `.eval_results` on the hub."
    file_name: ClassVar[str] = "eval-results.yaml"
    needs: ClassVar[Needs] = Needs.PUBLISHED

    def render(self, material: Material) -> str:
        """The entries."""
        from unlearn_audit.report.formats import published

        return published.eval_results(result_of(material), _published(material))


class OpenUnlearning(Writer):
    """The figures of `run --metrics` as open-unlearning writes them."""

    name: ClassVar[str] = "open-unlearning"
    summary: ClassVar[str] = "The figures of `run --metrics tofu` as open-unlearning's TOFU_EVAL.json."
    file_name: ClassVar[str] = "TOFU_EVAL.json"
    needs: ClassVar[Needs] = Needs.PUBLISHED

    def render(self, material: Material) -> str:
        """The figures by row."""
        from unlearn_audit.report.formats import published

        return published.open_unlearning(_published(material))


class LmEval(Writer):
    """The figures of `run --metrics wmdp` as lm-evaluation-harness writes them."""

    name: ClassVar[str] = "lm-eval"
    summary: ClassVar[str] = "The figures of `run --metrics wmdp` as results of lm-evaluation-harness."
    file_name: ClassVar[str] = "results.json"
    needs: ClassVar[Needs] = Needs.PUBLISHED

    def render(self, material: Material) -> str:
        """The results by task."""
        from unlearn_audit.report.formats import published

        return published.lm_eval(_published(material))


def _published(material: Material) -> Metrics:
    found = material.published()
    if not isinstance(found, Metrics):
        raise AuditError(f"expected published figures, got a {type(found).__name__}")
    return found


def result_of(material: Material) -> Result:
    """The result as the class that our own pages use."""
    if not isinstance(material.result, Result):
        raise AuditError(f"expected the result of an audit, got a {type(material.result).__name__}")
    return material.result
