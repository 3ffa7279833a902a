"""What is done with a finished run: decide again, merge, compare, verify, attest. No torch."""

__all__ = [
    "attest",
    "attestation",
    "baseline",
    "handle",
    "merge",
    "paired",
    "redecide",
    "several",
    "trackers",
    "verify",
]
