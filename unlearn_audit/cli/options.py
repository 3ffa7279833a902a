"""Options of `run` and `plan` besides those that build a spec: where jobs run, and what is done with their result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unlearn_audit.run.executors.kinds import Kind as Where
from unlearn_audit.run.text_policy import KeptText

Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Run directory; rerun with the same one to resume. Of several checkpoints: the folder of their runs.",
        show_default=False,
    ),
]
Text = Annotated[
    KeptText, typer.Option("--text", help="What outputs.jsonl keeps of the models' answers; none: salted digests.")
]
Executing = Annotated[
    Where, typer.Option("--executor", help="Where jobs run: on this machine, or on a Ray cluster (extra `ray`).")
]
Store = Annotated[
    Path | None, typer.Option("--store", help="Store of finished jobs, shared between runs.", show_default=False)
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the result of another request in --out; valid jobs are kept.")
]
FailFast = Annotated[
    bool,
    typer.Option("--fail-fast", help="Stop once a leak is proven, whatever the rest would say; never changes a PASS."),
]
LeaveOneOut = Annotated[
    bool,
    typer.Option(
        "--leave-one-control-out",
        help="Also audit each --retrained model as if it were the checkpoint: what is said of models that are clean.",
    ),
]
OfShards = Annotated[
    str | None, typer.Option("--shard", help="Run part of the jobs, e.g. 1/3, for `merge`.", show_default=False)
]
Sealed = Annotated[
    Path | None,
    typer.Option("--sealed", help="What `plan --seal` wrote: the report says whether the run kept to it."),
]
SealTo = Annotated[
    Path | None,
    typer.Option("--seal", help="Write the plan here, by digests, before there is any result.", show_default=False),
]
SealKey = Annotated[
    Path | None, typer.Option("--key", help="With --seal: private key (PEM) that signs it.", show_default=False)
]
MetricsOf = Annotated[
    str | None,
    typer.Option(
        "--metrics", help="Also print what others publish: tofu, muse, rwku, wmdp, open-unlearning.", show_default=False
    ),
]
AsShipped = Annotated[
    bool,
    typer.Option(
        "--as-shipped", help="With --metrics: as open-unlearning, with the template's tail and its ends of answers."
    ),
]
