"""Every attack on the bundled organisms: what each brings back, from whom, and at what cost."""
