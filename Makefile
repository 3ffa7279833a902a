# Two commands need nothing but Python, pip and a compiler: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-all check format bench mutants simulation docs clean

demo: $(READY)
	$(BIN)/unlearn-audit demo || test $$? -eq 1 # the bundled checkpoint leaks: its verdict is FAIL, exit code 1

# Bytecode is kept, whatever the shell says: the tests start a hundred processes that would all compile us anew.
# One order, so that the same commit gives the same answer; `make test-all` draws another each time.
test: $(READY)
	PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder --randomly-seed=1

test-all: $(READY)
	$(BIN)/pytest -q -m "gpu or slow or gptq or hqq or torchao or not slow"

.PHONY: test-ecosystem
test-ecosystem: # bridges and notebooks beside the real libraries, in an environment of their own
	test -x build/ecosystem/bin/python || $(PYTHON) -m venv build/ecosystem
	build/ecosystem/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev,ecosystem]"
	build/ecosystem/bin/pytest -q -m "ecosystem or notebooks"

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check
	$(BIN)/python docs/commands.py --check
	$(BIN)/python docs/check.py

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.docs # pages from the code, pictures from the demos in build/demo (needs Chromium), the site in build/site
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/commands.py
	$(BIN)/python -m docs.pictures
	$(BIN)/python docs/site.py

bench: $(READY)
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python -m benchmarks.probes # what an answer costs in each text probe

.PHONY: bench-suffix
bench-suffix: $(READY) # beside nanoGCG in an environment of its own; MODEL is a checkpoint's directory (benchmarks/suffix/README.md)
	$(BIN)/python -m benchmarks.suffix $(MODEL)

.PHONY: estimate
estimate: $(READY) # what audits were planned to take, and took; goes on where it was stopped, then docs/performance.md
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.estimate --keep --page

.PHONY: kills
kills: $(READY) # runs killed at random moments and resumed; goes on where it was stopped
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.kills --keep benchmarks/kills.json

mutants: $(READY)
	$(BIN)/python benchmarks/mutants.py --jobs 2 # wrong versions of the verdict's code: the tests must see every one

simulation: $(READY)
	$(BIN)/python -m benchmarks.simulation all # what is not yet in benchmarks/simulation/results/, then docs/statistics.md

.PHONY: validity
validity: $(READY) # hours of two cores, the oracle `retrain` most of them; every step goes on where it was stopped
	for step in build readout retrain audit rivals table; do \
		OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.validity $$step || exit 1; \
	done

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $(READY)

$(VENV)/.docs: $(READY)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[docs]"
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
