"""What the layers before the last already know."""
