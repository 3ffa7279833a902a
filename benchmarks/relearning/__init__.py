"""What relearning brings back on the bundled organisms: from seed to seed, and frugally beside plainly."""
