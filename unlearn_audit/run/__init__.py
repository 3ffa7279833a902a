"""Plan -> evidence: loads each model once, runs its jobs, keeps what they give."""

__all__ = [
    "claim",
    "executors",
    "interrupts",
    "isolation",
    "progress",
    "published",
    "records",
    "runner",
    "text_policy",
    "transcripts",
]
