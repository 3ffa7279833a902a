"""What a job cost: kept beside its evidence and in no digest, since it differs from run to run."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict


class CostRecord(BaseModel):
    """What some work took. Of a job that was resumed, of all its runs together.

    Attributes:
        seconds: by the clock.
        processor_seconds: of all threads, and of processes that were started for it and have ended.
        peak_bytes: most memory that the process had at a time, models included.
        device_peak_bytes: most memory that tensors had on one CUDA device at a time; None where there is none.
        tokens_read: that went through the audited model, padding included: of prompts, of answers that are scored.
        tokens_generated: steps of one token a row behind what was read.
        tokens_trained: of passes with gradients on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: float = 0.0
    processor_seconds: float = 0.0
    peak_bytes: int = 0
    device_peak_bytes: int | None = None
    tokens_read: int = 0
    tokens_generated: int = 0
    tokens_trained: int = 0

    def __add__(self, other: CostRecord) -> CostRecord:
        """Of both together: what was spent is added, of peaks the higher one counts."""
        peaks = [peak for peak in (self.device_peak_bytes, other.device_peak_bytes) if peak is not None]
        return CostRecord(
            seconds=round(self.seconds + other.seconds, 3),
            processor_seconds=round(self.processor_seconds + other.processor_seconds, 3),
            peak_bytes=max(self.peak_bytes, other.peak_bytes),
            device_peak_bytes=max(peaks, default=None),
            tokens_read=self.tokens_read + other.tokens_read,
            tokens_generated=self.tokens_generated + other.tokens_generated,
            tokens_trained=self.tokens_trained + other.tokens_trained,
        )


def total(costs: Iterable[CostRecord]) -> CostRecord:
    """Of all together."""
    return sum(costs, CostRecord())
