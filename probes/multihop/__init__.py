"""Questions that can only be answered through the fact."""
