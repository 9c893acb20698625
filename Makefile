# Needs Python 3.11 to 3.13, git and make; everything else goes into .venv (and uv, where there is none, into .uv).

SHELL := /bin/bash
PYTHON ?= python3
# One of our own where there is none, or one that does not know exclude-dependencies and would read none of our settings.
FIRST_UV := 0.9.8
UV := $(or $(shell printf '%s\n' $(FIRST_UV) "$$(uv --version 2>/dev/null | cut -d ' ' -f 2)" | sort -VC && command -v uv),.uv/bin/uv)
ENVIRONMENT := .venv/.synced
# Of a clone that was moved, whose programs in .venv name the folder it was in: the stamp says which.
MOVED := $(shell [ -f $(ENVIRONMENT) ] && [ "$$(cat $(ENVIRONMENT))" != "$$(pwd -P)" ] && echo moved)
# Test files are dealt out to this many processes, in the order of their names; their fixtures stay whole. One thread
# each: more would wait for one another; what asks for two all the same (encoding on a CPU) sleeps while it waits, for
# on a busy machine it would burn many times what it computes. As many ablations run at a time.
JOBS ?= 2
# Of `make ablations`; no ARMS: all of them. `make seeds` is of the profile that params.yaml was composed for.
PROFILE ?= tiny
SEEDS ?= 3
ARMS ?=
GPUS ?=
DDP ?= 1
# Of `make mutants`: how many a module, which sample of them, of which modules (none named: all).
COUNT ?= 8
SEED ?= 0
MODULES ?=
PYTEST := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive .venv/bin/python -m pytest -n $(JOBS) --dist loadfile \
  --no-loadscope-reorder --durations=25 --durations-min=10

export UV_PYTHON_DOWNLOADS := never
# Once, not in every process that starts, where PYTHONDONTWRITEBYTECODE is set.
export UV_COMPILE_BYTECODE := 1

.PHONY: moved help environment repro ablations seeds test quick lint mutants

help:
	@echo "make environment     install everything into .venv"
	@echo "make repro           run what is out of date, then show the gates (ARGS='profile=tiny' composes first)"
	@echo "make ablations       train and compare the arms of track voice (ARMS='baseline no_gan' SEEDS=6 PROFILE=embedded"
	@echo "                     JOBS=2 GPUS=0,1,2,3 DDP=2 ARGS='voice.train.loop.epochs=10')"
	@echo "make seeds           measure how much the gates vary over five seeds of training (JOBS=2 ARGS='--track voice')"
	@echo "make test            ruff, import-linter, all tests, in two processes (JOBS=4: in four)"
	@echo "make quick           ruff, import-linter, the tests that take seconds"
	@echo "make lint            ruff, import-linter"
	@echo "make mutants         change single tokens of the code and see whether the tests notice (COUNT=8 SEED=0"
	@echo "                     MODULES=audio/filters,structure)"

environment: $(ENVIRONMENT)

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet uv

$(ENVIRONMENT): pyproject.toml $(MOVED) | $(filter .uv/bin/uv,$(UV))
	$(if $(MOVED),rm -rf .venv)
	$(UV) sync --all-groups
	@echo "Compiling what librosa would compile in every process that uses it first (half a minute)"
	-@.venv/bin/python -m soundgate.compile_ahead
	@pwd -P >$@

repro: $(ENVIRONMENT)
	.venv/bin/soundgate repro $(ARGS)

ablations: $(ENVIRONMENT)
	.venv/bin/soundgate ablations run --profile $(PROFILE) --seeds $(SEEDS) --jobs $(JOBS) \
	  --arms "$(ARMS)" --gpus "$(GPUS)" --ddp $(DDP) $(ARGS)

seeds: $(ENVIRONMENT)
	.venv/bin/soundgate seeds run --jobs $(JOBS) $(ARGS)

test: lint
	$(PYTEST)

quick: lint
	$(PYTEST) -m "not slow"

lint: $(ENVIRONMENT)
	.venv/bin/ruff check .
	.venv/bin/lint-imports --no-cache

mutants: $(ENVIRONMENT)
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive .venv/bin/python benchmarks/mutants.py --count $(COUNT) --seed $(SEED) --modules "$(MODULES)"
