"""Plan -> evidence: loads each model once, runs its jobs, keeps what they give."""

__all__ = ["claim", "interrupts", "isolation", "published", "records", "runner", "shard", "text_policy", "transcripts"]
