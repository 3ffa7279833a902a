"""Published ways to talk a model out of a refusal."""
