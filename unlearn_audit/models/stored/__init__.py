"""What lies on disk as a model: which files are weights, what stands in them, and whether they changed. No torch."""

__all__ = ["files", "gguf", "headers", "sameness", "states", "templates"]
