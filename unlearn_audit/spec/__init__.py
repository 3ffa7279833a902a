"""What is asked: the audit, the policy that it is held to, and the waivers. Plain data from YAML and flags."""

__all__ = [
    "benchmarks",
    "given",
    "policy",
    "reading",
    "selectors",
    "several",
    "sources",
    "spec",
    "waivers",
    "yaml_files",
]
