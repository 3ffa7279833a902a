"""A toy auditor: knows no model, reads its request, and answers by the contract (docs/validity.md)."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> int:
    """Says PASS of a checkpoint whose weights are the control's, FAIL of any other; the score says the same."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    own, control = (
        Path(request[key] if key == "checkpoint" else request[key][0]) for key in ("checkpoint", "retrained")
    )
    same = (own / "weights").read_text() == (control / "weights").read_text()
    if (own / "weights").read_text() == "odd":
        return 3
    answer = {"score": 0.0 if same else 1.0, "verdict": "PASS" if same else "FAIL", "note": own.name}
    Path(sys.argv[2]).write_text(json.dumps(answer), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
