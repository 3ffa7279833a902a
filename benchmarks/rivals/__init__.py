"""Our engine beside those that people use, on the same checkpoint and the same questions, in one run."""
