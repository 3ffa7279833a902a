"""Probes: one measurement a module, each found through its entry point."""
