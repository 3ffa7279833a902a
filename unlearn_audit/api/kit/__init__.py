"""Tools that our own plug-ins are built with, and others may use: nothing here is needed to write one."""

__all__ = ["knowledge_graph", "lora", "memory", "printable", "screen", "words"]
