"""The section that says which part of a report is evidence for which passage of two frameworks. It claims nothing."""

from __future__ import annotations

from unlearn_audit.report.parts.view import Column, Section, Table, paragraph, text_columns

_NIST = (
    ("MEASURE 1.1", "How risks are measured, and which are not", "Coverage; How to read the numbers"),
    ("MEASURE 2.1", "Test sets, metrics and tools are documented", "What was tested; Provenance"),
    ("MEASURE 2.3", "Assurance criteria are measured for conditions like those of deployment", "Findings; Quantizers"),
    (
        "MEASURE 2.5",
        "Validity and reliability, with the limits of what generalizes",
        "Utility; How to read the numbers",
    ),
    ("MEASURE 2.7", "Security and resilience are evaluated", "Findings; Doses; Cost to recover"),
    ("MEASURE 2.10", "Privacy risk is examined", "Findings; Traces; Worst facts"),
    ("MEASURE 2.13", "How effective the testing itself is", "Power"),
    ("MANAGE 1.1", "Whether deployment should go on: one input to that decision", "Verdict; Reasons"),
    ("MANAGE 1.4", "Residual risks are documented", "Rules and waivers"),
)
_EU = (
    ("Article 9(8)", "Tests against metrics and probabilistic thresholds set beforehand", "What was tested (policy)"),
    ("Article 15(4), (5)", "Robustness and cybersecurity, confidentiality attacks among them", "Findings; Traces"),
    (
        "Annex IV, point 2(g)",
        "Validation and testing procedures, data, metrics, logs, signed reports",
        "Coverage; Provenance; an attestation, where one was made",
    ),
    ("Article 53(1)(a), Annex XI", "Testing process and results of evaluation of a general-purpose model", "All of it"),
    ("Article 55(1)(a)", "Model evaluation with documented adversarial testing (systemic risk)", "Findings; Coverage"),
)


def section() -> Section:
    """The same for every audit: a place to look, and no judgement."""
    columns = (*text_columns("Passage"), Column(title="What it is about", wide=True), Column(title="Evidence here"))
    return Section(
        id="crosswalk",
        title="Crosswalk",
        blocks=(
            paragraph(
                "Where this report may serve as evidence. It is no statement of compliance with either text, and "
                "no passage is met by a report alone: whether one applies, and what else it asks for, is for those "
                "to say who answer for the model. Passages are named in short, not quoted."
            ),
            Table(caption=("NIST AI RMF",), columns=_titled("NIST AI RMF 1.0", columns), rows=_NIST),
            Table(caption=("EU AI Act",), columns=_titled("EU AI Act (2024/1689)", columns), rows=_EU),
        ),
    )


def _titled(framework: str, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    return (Column(title=framework), *columns[1:])
