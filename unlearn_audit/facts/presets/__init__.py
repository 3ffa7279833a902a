"""Fact presets that come with the tool: one published benchmark a module, each found through its entry point."""

__all__ = ["blur", "dusk", "faithun", "lume", "mquake", "muse", "restor", "rwku", "tofu", "wmdp"]
