"""Tools that our own plug-ins are built with, and others may use: nothing here is needed to write one.

Judging what a model says: `answered` puts questions and judges the outputs, with `asking`, `answer_key`, `twins`,
`judged` and `statements` below it. Insides: `blocks` (where the layers of a model are) and `answer_batches`; these two
import torch. Texts and data: `screen`, `printable`, `text_files`, `knowledge_graph`. Weights: `training` and
`memory`.
"""

__all__ = [
    "answer_batches",
    "answer_key",
    "answered",
    "asking",
    "blocks",
    "judged",
    "knowledge_graph",
    "matching",
    "memory",
    "printable",
    "screen",
    "statements",
    "text_files",
    "training",
    "twins",
]
