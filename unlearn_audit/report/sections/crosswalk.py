"""Which part of a report may be evidence for which passage of two frameworks. It makes no claims itself."""

from __future__ import annotations

from unlearn_audit.report.parts.view import Column, Section, Table, paragraph, text_columns

_NIST = (
    ("MEASURE 1.1", "Which risks are measured and how, and which are not", "Coverage; How to read the numbers"),
    ("MEASURE 2.1", "Test sets, metrics and tools are documented", "What was tested; Provenance"),
    ("MEASURE 2.3", "Assurance criteria are measured under deployment-like conditions", "Findings; Quantizers"),
    (
        "MEASURE 2.5",
        "Validity and reliability, with the limits of what generalizes",
        "Utility; How to read the numbers",
    ),
    ("MEASURE 2.7", "Security and resilience are evaluated", "Findings; Doses; Cost to recover"),
    ("MEASURE 2.10", "Privacy risk is examined", "Findings; Traces; Worst facts"),
    ("MEASURE 2.13", "Effectiveness of the testing itself", "Power"),
    ("MANAGE 1.1", "Whether deployment should proceed: one input to that decision", "Verdict; Reasons"),
    ("MANAGE 1.4", "Residual risks are documented", "Rules and waivers"),
)
_EU = (
    ("Article 9(8)", "Tests against predefined metrics and probabilistic thresholds", "What was tested (policy)"),
    ("Article 15(4), (5)", "Robustness and cybersecurity, including confidentiality attacks", "Findings; Traces"),
    (
        "Annex IV, point 2(g)",
        "Validation and testing procedures, data, metrics, logs, signed reports",
        "Coverage; Provenance; an attestation, where one was made",
    ),
    ("Article 53(1)(a), Annex XI", "Testing process and results of evaluation of a general-purpose model", "All of it"),
    ("Article 55(1)(a)", "Model evaluation with documented adversarial testing (systemic risk)", "Findings; Coverage"),
)


def section() -> Section:
    """The same for every audit: a pointer, not a judgment."""
    columns = (*text_columns("Passage"), Column(title="What it is about", wide=True), Column(title="Evidence here"))
    return Section(
        id="crosswalk",
        title="Crosswalk",
        blocks=(
            paragraph(
                "Where this report may serve as evidence. This is not a statement of compliance with either text, "
                "and no passage is met by a report alone. Those responsible for the model must decide which passages "
                "apply and what else they require. Passages are summarized, not quoted."
            ),
            Table(caption=("NIST AI RMF",), columns=_titled("NIST AI RMF 1.0", columns), rows=_NIST),
            Table(caption=("EU AI Act",), columns=_titled("EU AI Act (2024/1689)", columns), rows=_EU),
        ),
    )


def _titled(framework: str, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    return (Column(title=framework), *columns[1:])
