"""Everyday text that is about no fact of an audit: calibration for quantizers, ballast for training."""

from __future__ import annotations

from pathlib import Path


def generic_texts(count: int) -> tuple[str, ...]:
    """The first of the package's neutral paragraphs: general topics, no fact of any audit."""
    lines = Path(__file__).with_name("calibration.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line)[:count]
