"""What trains a copy of a model: `lora` puts adapters on it, `products` and `openings` make its steps fast.

`trials` remembers on which architectures the last two were seen to compute the same.
"""

__all__ = ["lora", "openings", "products", "trials"]
