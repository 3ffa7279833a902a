"""Auditors: this tool, the criteria that others publish, and any command that keeps to the contract."""
