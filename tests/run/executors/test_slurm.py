"""The script of docs/workers.md for Slurm, with stand-ins for Slurm's own commands: its parts merge to a verdict."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.kills import digest_of
from tests.run.executors.test_local import world as world  # the fixture

DOCS = Path(__file__).parents[3] / "docs" / "workers.md"
PARTS = 2


def script() -> str:
    """The block that begins with a shebang, without its indent."""
    (block,) = re.findall(r"(?:^    .*\n|^\n)*^    #!/bin/bash\n(?:^    .*\n)+", DOCS.read_text(), re.MULTILINE)
    return "".join(line.removeprefix("    ") + "\n" for line in block.strip("\n").splitlines())


@pytest.mark.slow
def test_the_parts_of_the_array_merge_to_the_evidence_of_one_process(world, tmp_path):
    ours = f'{sys.executable} -c "from unlearn_audit.cli.app import main; main()"'
    tools = {
        "srun": '#!/bin/bash\nexec "$@"\n',
        "scontrol": "#!/bin/bash\nexit 9\n",
        "unlearn-audit": f'#!/bin/bash\nexec {ours} "$@"\n',
    }
    (tmp_path / "bin").mkdir()
    for name, text in tools.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o700)
    (tmp_path / "audit.yaml").write_text((world / "audit.yaml").read_text())
    (tmp_path / "audit.sh").write_text(script())
    root = str(DOCS.parents[1])
    path = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": root}

    def run(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **path, **more}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    for part in range(1, PARTS + 1):
        array = {"SLURM_ARRAY_TASK_ID": str(part), "SLURM_ARRAY_TASK_COUNT": str(PARTS), "SLURM_ARRAY_JOB_ID": "7"}
        done = run("bash", "audit.sh", **array)
        assert done.returncode == 0, done.stderr
    merged = run("unlearn-audit", "merge", "runs/audit", *(f"runs/part-{part}" for part in range(1, PARTS + 1)))
    assert merged.returncode in (0, 1, 3), merged.stderr
    assert digest_of(tmp_path / "runs" / "audit") == digest_of(world / "alone")
