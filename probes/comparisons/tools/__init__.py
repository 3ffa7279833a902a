"""What several comparisons are built with."""
