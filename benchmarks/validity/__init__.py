"""The meta-evaluation: a zoo of models whose truth is known, audited one by one, and a table of the wrong verdicts."""
