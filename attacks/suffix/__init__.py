"""Token strings searched so that the model answers."""
