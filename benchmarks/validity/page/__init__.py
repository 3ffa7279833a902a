"""The tables and the figure of docs/validity.md. Pure text."""
