"""How an adversary words what it asks: questions without their answers, and openings of answers without values."""
