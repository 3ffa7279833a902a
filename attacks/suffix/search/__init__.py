"""The search itself: steps, losses, drafts, and what a token may be."""
