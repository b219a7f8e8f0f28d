# One command each: `make run` sets up and serves, `make test` sets up and tests. Needs python3 with venv, nothing else.
UV_VERSION := 0.13.8
PYTHON ?= python3
TOOLS := build/tools-$(UV_VERSION)
UV := $(TOOLS)/bin/uv
BIN := .venv/bin
RUNTIME := .venv/runtime.stamp
DEV := .venv/dev.stamp
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := .venv
# Whoever starts it later may not be allowed to write __pycache__, and would compile at every start.
export UV_COMPILE_BYTECODE := 1
COMPILE := $(BIN)/python -m compileall -q libs/*/src services/*/src
# Started by root, PostgreSQL runs as another user, who must be able to read what is installed.
SHARED := umask 022;

.DEFAULT_GOAL := help
.PHONY: help setup run test unit chaos check format bench clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Vulcan needs Python 3.11 or newer; name one with make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	    || { echo "Python's venv is missing; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "setting up uv $(UV_VERSION) in $(TOOLS)"
	@$(SHARED) $(PYTHON) -m venv $(TOOLS)
	@$(SHARED) $(TOOLS)/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(RUNTIME): uv.lock pyproject.toml $(wildcard */*/pyproject.toml) | $(UV)
	@echo "setting up the Python environment in .venv"
	@$(SHARED) begun=$$(date +%s); $(UV) sync --quiet --frozen --no-dev --inexact --python $(PYTHON) && $(COMPILE) \
	    && echo "set up in $$(( $$(date +%s) - begun )) s"
	@touch $@

$(DEV): uv.lock pyproject.toml $(wildcard */*/pyproject.toml) | $(UV)
	@echo "setting up the Python environment in .venv, with the development tools"
	@$(SHARED) $(UV) sync --quiet --frozen --python $(PYTHON) && $(COMPILE)
	@touch $@ $(RUNTIME)

setup: $(DEV) ## the environment with the development tools

run: $(RUNTIME) ## set up what is needed, start Vulcan, run a sample on every backend, keep serving
	@exec $(BIN)/vulcan up $(ARGS)

test: $(DEV) ## every test, on the real NATS, Postgres and Deno
	@$(BIN)/python -m vulcan_local.install
	$(BIN)/pytest $(ARGS)

unit: $(DEV) ## the tests that need no server
	$(BIN)/pytest tests/unit $(ARGS)

chaos: $(DEV) ## kill processes at random under load, KILLS=30 of them, as SEED=... plans it, then see that all held
	@$(BIN)/python -m vulcan_local.install
	@PYTHONPATH=tests exec $(BIN)/python -m chaos --kills $(or $(KILLS),30) $(if $(SEED),--seed $(SEED)) $(ARGS)

check: $(DEV) ## format, lint, types, imports
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(DEV) ## ratios against baselines, written to build/bench.json
	PYTHONPATH=tests $(BIN)/python -m bench $(ARGS)

format: $(DEV) ## format, and fix what the linter can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## remove what was built; the data directory stays
	rm -rf build .venv
