"""How long an audit was planned to take, and how long it took: audits of different kinds, on the bundled models."""
