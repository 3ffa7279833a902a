#!/usr/bin/env bash
# Everything in order, from the repository root: questions, models, audits, table. Run again to continue.
# Environment: PYTHON (default: python), AUDIT (default: unlearn-audit), TOFU (default: ../shared/data/tofu), SIZE (options of
# build_data.py).
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python} audit=${AUDIT:-unlearn-audit}
here=examples/smollm2_chains build=build/smollm2_chains
export PYTHONPATH=examples/smollm2_tofu${PYTHONPATH:+:$PYTHONPATH} OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
[ -f "$build/forget.jsonl" ] || "$python" "$here/build_data.py" --tofu "${TOFU:-../shared/data/tofu}" ${SIZE:-}
"$python" "$here/make_models.py"
for part in audit steps; do
    "$audit" run --spec "$here/$part.yaml" --out "runs/smollm2_chains/$part" || [ $? -lt 4 ]
    "$python" "$here/chain_table.py" "runs/smollm2_chains/$part/result.json"
done
