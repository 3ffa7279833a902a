"""What the statistics promise, measured on synthetic audits of known truth: the tables of docs/statistics.md."""
