"""A tiny random model of each architecture through `doctor` and a whole audit: what runs, and what is skipped why."""
