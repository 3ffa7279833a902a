"""Erasure under the GDPR, the guidance on it, and the EDPB's opinion on AI models."""

from __future__ import annotations

from unlearn_audit.report.annexes import evidence
from unlearn_audit.report.annexes.asked import Asked, Text

TEXT = Text(
    title="GDPR: erasure and the guidance on it, and EDPB Opinion 28/2024",
    sources=(
        "Regulation (EU) 2016/679 (GDPR), Articles 5, 17, 25 and 32, Recital 26",
        "EDPB, Opinion 28/2024 on certain data protection aspects related to the processing of personal data in the "
        "context of AI models, adopted on 17 December 2024",
        "EDPB, 2025 Coordinated Enforcement Action: implementation of the right to erasure by controllers, report "
        "adopted on 10 February 2026",
        "CNIL, recommendations on AI: respecting and facilitating the exercise of data subjects' rights, 7 February "
        "2025",
    ),
    asked=(
        Asked(
            source="GDPR, Article 17(1)",
            asks="Personal data are erased without undue delay where a ground for it applies",
            evidence=evidence.what_is_left,
            sections=("At a glance", "Findings", "Worst facts"),
        ),
        Asked(
            source="GDPR, Article 5(2)",
            asks="The controller is able to demonstrate that it keeps to the principles (accountability)",
            evidence=evidence.record,
            sections=("Provenance", "Coverage"),
        ),
        Asked(
            source="GDPR, Article 25(1)",
            asks="Measures that implement the principles effectively, chosen with the state of the art in mind",
            evidence=evidence.utility,
            sections=("Utility", "Findings"),
        ),
        Asked(
            source="GDPR, Article 32(1)(d)",
            asks="A process for regularly testing the effectiveness of technical measures",
            evidence=evidence.testing,
            sections=("Power", "How to read the numbers"),
        ),
        Asked(
            source="GDPR, Recital 26",
            asks="All means reasonably likely to be used to identify a person are taken into account",
            evidence=evidence.coverage,
            sections=("What was tested", "Coverage"),
        ),
        Asked(
            source="Opinion 28/2024, section 3.2",
            asks="The likelihood of extracting personal data directly from the model is insignificant, for any person",
            evidence=evidence.extraction,
            sections=("Findings", "Cost to recover"),
        ),
        Asked(
            source="Opinion 28/2024, section 3.2",
            asks="The likelihood of obtaining personal data from queries, on purpose or not, is insignificant",
            evidence=evidence.queries,
            sections=("Findings", "Quantizers"),
        ),
        Asked(
            source="Opinion 28/2024, section 3.2",
            asks="That holds for each person, not on average",
            evidence=evidence.people,
            sections=("People and relations",),
        ),
        Asked(
            source="Opinion 28/2024, section 3.2",
            asks="Tests of resistance to attribute and membership inference",
            evidence=evidence.membership,
            sections=("Traces",),
        ),
        Asked(
            source="Opinion 28/2024, section 3.2",
            asks="Tests of resistance to regurgitation of training data",
            evidence=evidence.regurgitation,
            sections=("Findings", "Advisory findings"),
        ),
        Asked(
            source="Opinion 28/2024, section 3.3",
            asks="Where people report regurgitation, unlearning is assessed as a way to resolve it",
            evidence=evidence.everything,
            sections=("At a glance", "Doses"),
        ),
        Asked(
            source="EDPB report on erasure (2026)",
            asks="What stands in the place of deletion cannot be undone, and leaves nothing that leads to the person",
            evidence=evidence.extraction,
            sections=("Findings", "Cost to recover", "People and relations"),
        ),
        Asked(
            source="EDPB report on erasure (2026)",
            asks="How a request was handled is documented, by a procedure that is reviewed",
            evidence=evidence.record,
            sections=("Pre-registration", "Provenance"),
        ),
        Asked(
            source="CNIL, AI and data subjects' rights (2025)",
            asks="Erasure reaches the model itself, where the model is not anonymous, and not its training data alone",
            evidence=evidence.what_is_left,
            sections=("At a glance", "Coverage"),
        ),
    ),
)
