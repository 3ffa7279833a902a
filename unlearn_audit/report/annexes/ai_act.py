"""The EU AI Act, and the code of practice for general-purpose models."""

from __future__ import annotations

from unlearn_audit.report.annexes import evidence
from unlearn_audit.report.annexes.asked import Asked, Text

TEXT = Text(
    title="EU AI Act, and the General-Purpose AI Code of Practice",
    sources=(
        "Regulation (EU) 2024/1689 (AI Act), Articles 9, 15, 53 and 55, Annexes IV and XI",
        "The General-Purpose AI Code of Practice, 10 July 2025: chapters Transparency, and Safety and Security",
    ),
    asked=(
        Asked(
            source="AI Act, Article 9(8) (high-risk systems)",
            asks="Tests against metrics and probabilistic thresholds that were defined before",
            evidence=evidence.metrics,
            sections=("What was tested", "Pre-registration"),
        ),
        Asked(
            source="AI Act, Article 15(5) (high-risk systems)",
            asks="Resilience to attempts to exploit weaknesses, attacks on confidentiality among them",
            evidence=evidence.everything,
            sections=("Findings", "Cost to recover"),
        ),
        Asked(
            source="AI Act, Annex IV, point 2(g) (high-risk systems)",
            asks="Testing procedures, data, metrics and logs are documented, with signed test reports",
            evidence=evidence.record,
            sections=("Coverage", "Provenance"),
        ),
        Asked(
            source="AI Act, Article 53(1)(a) and Annex XI, section 1 (general-purpose models)",
            asks="Technical documentation, with the training and testing process and the results of evaluation",
            evidence=evidence.coverage,
            sections=("What was tested", "Coverage"),
        ),
        Asked(
            source="AI Act, Article 55(1)(a) and Annex XI, section 2 (with systemic risk)",
            asks="Model evaluation by the state of the art, with adversarial testing that is documented",
            evidence=evidence.extraction,
            sections=("Findings", "Doses", "Coverage"),
        ),
        Asked(
            source="Code of Practice, Transparency, Measure 1.1",
            asks="Model documentation is drawn up and kept current",
            evidence=evidence.record,
            sections=("Provenance",),
        ),
        Asked(
            source="Code of Practice, Safety and Security, Commitment 3 (with systemic risk)",
            asks="Risks are analyzed with model evaluations that are rigorous and elicit what the model can do",
            evidence=evidence.testing,
            sections=("Power", "How to read the numbers"),
        ),
        Asked(
            source="Code of Practice, Safety and Security, Commitment 7 (with systemic risk)",
            asks="A model report describes risks, evaluations and mitigations before the model is placed on the market",
            evidence=evidence.decision,
            sections=("At a glance", "Reasons"),
        ),
    ),
)
