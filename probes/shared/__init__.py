"""What several probes are built with."""
