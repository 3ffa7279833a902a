"""Recovery attacks: one technique a module, each found through its entry point."""
