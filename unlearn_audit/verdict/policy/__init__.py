"""What a policy makes of findings: its rules, what it says is served, what is waived."""

__all__ = ["rules", "serving", "waivers"]
