"""Every error of ours, with the exit code that it ends in. Anything else is a bug."""

from __future__ import annotations


class AuditError(Exception):
    """An error that its reader can act on: what was expected, what came, what to try."""


class AttackError(AuditError):
    """An attack did not do what it claims (a backend that did not quantise): an ERROR, never a pass."""


class IntegrityError(AuditError):
    """Something is not what was written, or not what was signed: exit code 5."""


class SpecError(AuditError):
    """The request itself is wrong: exit code 2."""
