"""What a policy makes of findings: their terms, its rules, what it says is served, what is waived."""

__all__ = ["rules", "sealed", "serving", "terms", "waivers"]
