"""What a model writes: `decoding` greedily, `openings` read once, `sampling` at random, and `stops` where it ends."""

__all__ = ["decoding", "openings", "sampling", "stops"]
