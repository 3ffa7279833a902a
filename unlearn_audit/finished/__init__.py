"""What is done with a finished run: decide again, merge, compare, verify, attest. No torch."""

__all__ = ["appendix", "attest", "attestation", "baseline", "merge", "redecide", "sealing", "verify"]
