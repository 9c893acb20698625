# Needs Python 3.11 to 3.13, git and make; everything else goes into .venv (and uv, where there is none, into .uv).

SHELL := /bin/bash
PYTHON ?= python3
UV := $(or $(shell command -v uv),.uv/bin/uv)
ENVIRONMENT := .venv/.synced

export UV_PYTHON_DOWNLOADS := never

.PHONY: help environment repro test quick lint deps

help:
	@echo "make environment     install everything into .venv"
	@echo "make repro           run what is out of date, then show the gates (ARGS='profile=tiny' composes first)"
	@echo "make test            ruff, import-linter, all tests"
	@echo "make quick           ruff, import-linter, the tests that take seconds"
	@echo "make lint            ruff, import-linter"
	@echo "make deps            write the stages' code dependencies into dvc.yaml"

environment: $(ENVIRONMENT)

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet uv

$(ENVIRONMENT): pyproject.toml | $(filter .uv/bin/uv,$(UV))
	$(UV) sync --all-groups
	@touch $@

repro: $(ENVIRONMENT)
	.venv/bin/soundgate repro $(ARGS)

test: lint
	.venv/bin/python -m pytest

quick: lint
	.venv/bin/python -m pytest -m "not slow"

lint: $(ENVIRONMENT)
	.venv/bin/ruff check .
	.venv/bin/lint-imports --no-cache

deps: $(ENVIRONMENT)
	.venv/bin/soundgate deps
