# `make help` lists the targets. Each of them first makes the virtual environment .venv when it is missing or out of date.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input

# Files of tests run in so many processes at once.
TEST_PROCESSES ?= 2

# One thread a process: the tests start several processes at once.
test test-all coverage: export OMP_NUM_THREADS ?= 1

# Hundreds of processes import neox: none of them compiles what another one has.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help quickstart test test-all coverage pytest lint types bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

quickstart: $(INSTALLED) ## train a small model on real text and let it write; some minutes on two cores
	$(BIN)/neox data prepare stdlib
	$(BIN)/neox train configs/quickstart.yml
	$(BIN)/neox generate checkpoints/quickstart --prompt "def "

test: lint types pytest ## everything that must hold: lint, types, tests

test-all: export NEOX_TEST_ALL = 1
test-all: test ## the same, with every case of the matrices of which `test` draws a sample

pytest: $(INSTALLED)
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile

coverage: $(INSTALLED) ## the tests once more, and which lines they run; takes half as long again
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --cov --cov-report=term:skip-covered

lint: $(INSTALLED) ## style, formatting, layers, and the size of the core
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports --no-logo
	@find neox_core -name '*.py' -exec cat {} + | awk 'END { print "neox_core: " NR " lines" }'

types: $(INSTALLED) ## mypy --strict
	@$(BIN)/mypy

bench: $(INSTALLED) ## the benchmarks; results go to benchmarks/results
	@for benchmark in $$(grep -l __main__ benchmarks/*.py); do echo "$$benchmark"; $(BIN)/python "$$benchmark" || exit; done

clean: ## remove .venv, caches and build products; data, runs and checkpoints stay
	@rm -rf $(VENV) build dist .coverage .coverage.* htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis \
	  .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# torch comes first: DeepSpeed's installation looks for it. What of it is used is compiled on first use.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "neox needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	@echo "setting up $(VENV); the first time this takes some minutes"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --no-compile -c constraints.txt torch
	@$(PIP) install --no-compile -c constraints.txt -e '.[dev]'
	@touch $@
