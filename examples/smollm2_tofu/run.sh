#!/usr/bin/env bash
# Everything in order, from the repository root: facts, base, original beside retrained, unlearned. Run again to continue.
# Environment: PYTHON (default: python), BFLOAT16=1 for CPUs with AMX or AVX512-BF16, ATTEMPTS (default: 3).
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python}
options=(${BFLOAT16:+--bfloat16})
build=build/smollm2_tofu
mkdir -p "$build/logs"
# Two processes of one thread each: threads that wait by spinning stall on a shared machine.
export OMP_WAIT_POLICY=PASSIVE TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1

make_model() { # name, threads
    for _ in $(seq "${ATTEMPTS:-3}"); do
        "$python" examples/smollm2_tofu/train.py --only "$1" --threads "$2" "${options[@]}" >>"$build/logs/$1.log" 2>&1 && return
    done
    echo "$1 failed: see $build/logs/$1.log" >&2
    return 1
}

[ -f "$build/holdout.jsonl" ] || "$python" examples/smollm2_tofu/prepare.py
date; echo base; make_model base 1
date; echo "original, retrained"
make_model original 1 & original=$!
make_model retrained 1 & retrained=$!
wait "$original"; wait "$retrained"
date; echo "unlearned, refusal"; make_model unlearned 2; make_model refusal 2
date; echo done
