"""The command line: wiring, exit codes, and what a person is told. No logic of an audit."""

__all__ = ["app"]
