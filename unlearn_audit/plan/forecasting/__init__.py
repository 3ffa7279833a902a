"""How long a plan takes here: what its probes ask, what a token costs, and what that comes to."""
