"""What is done with a finished run: decide again, merge, compare, verify, attest. No torch."""

__all__ = [
    "appendix",
    "attest",
    "attestation",
    "baseline",
    "handle",
    "merge",
    "paired",
    "redecide",
    "sealing",
    "several",
    "trackers",
    "verify",
]
