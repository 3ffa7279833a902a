"""What several attacks are built with."""
