"""What several probes are built with, beyond the public kit of `unlearn_audit.api`."""

__all__ = ["linear_probe"]
