"""NIST's AI Risk Management Framework, and its profile for generative AI."""

from __future__ import annotations

from unlearn_audit.report.annexes import evidence
from unlearn_audit.report.annexes.asked import Asked, Text

TEXT = Text(
    title="NIST AI RMF 1.0, and the Generative AI Profile",
    sources=(
        "NIST AI 100-1, Artificial Intelligence Risk Management Framework (AI RMF 1.0), January 2023",
        "NIST AI 600-1, Artificial Intelligence Risk Management Framework: Generative Artificial Intelligence Profile, "
        "July 2024",
    ),
    asked=(
        Asked(
            source="AI RMF, MEASURE 1.1",
            asks="Which risks are measured and how, and which are not",
            evidence=evidence.coverage,
            sections=("Coverage", "How to read the numbers"),
        ),
        Asked(
            source="AI RMF, MEASURE 2.1",
            asks="Test sets, metrics and tools are documented",
            evidence=evidence.record,
            sections=("What was tested", "Provenance"),
        ),
        Asked(
            source="AI RMF, MEASURE 2.3",
            asks="Performance or assurance criteria are measured under conditions like those of deployment",
            evidence=evidence.queries,
            sections=("Findings", "Quantizers"),
        ),
        Asked(
            source="AI RMF, MEASURE 2.5",
            asks="Validity and reliability, with the limits of what generalizes",
            evidence=evidence.utility,
            sections=("Utility", "How to read the numbers"),
        ),
        Asked(
            source="AI RMF, MEASURE 2.7",
            asks="Security and resilience are evaluated and documented",
            evidence=evidence.extraction,
            sections=("Findings", "Doses", "Cost to recover"),
        ),
        Asked(
            source="AI RMF, MEASURE 2.10",
            asks="Privacy risk is examined and documented",
            evidence=evidence.people,
            sections=("People and relations", "Worst facts"),
        ),
        Asked(
            source="AI RMF, MEASURE 2.13",
            asks="The effectiveness of the testing itself is evaluated and documented",
            evidence=evidence.testing,
            sections=("Power",),
        ),
        Asked(
            source="AI RMF, MANAGE 1.1",
            asks="Whether development or deployment should proceed: one input to that",
            evidence=evidence.decision,
            sections=("At a glance", "Reasons"),
        ),
        Asked(
            source="AI RMF, MANAGE 1.4",
            asks="Residual risks are documented",
            evidence=evidence.residual,
            sections=("Rules and waivers",),
        ),
        Asked(
            source="Generative AI Profile, section 2.4 (Data Privacy)",
            asks="Leaks and unauthorized disclosure of personal data, memorized training data among them",
            evidence=evidence.what_is_left,
            sections=("At a glance", "Findings"),
        ),
        Asked(
            source="Generative AI Profile, action MS-2.10-001",
            asks="Red-teaming for training data in outputs, and for membership inference",
            evidence=evidence.membership,
            sections=("Traces", "Findings"),
        ),
    ),
)
