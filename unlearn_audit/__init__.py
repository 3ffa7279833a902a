"""unlearn-audit: how much of what a model was made to forget can still be got back?"""

__version__ = "0.2.0"
