"""Fact presets that come with the tool: one published benchmark a module, each found through its entry point."""

__all__ = ["tofu"]
