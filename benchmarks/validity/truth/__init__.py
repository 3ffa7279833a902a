"""What is true of each model, and verdicts counted against it."""
