# One command each: `make run` sets up and serves, `make test` sets up and tests. Needs python3 with venv, nothing else.
UV_VERSION := 0.13.8
PYTHON ?= python3
TOOLS := build/tools
UV := $(TOOLS)/bin/uv
BIN := .venv/bin
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := .venv

.DEFAULT_GOAL := help
.PHONY: help setup run test unit check format bench clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

$(UV):
	@echo "setting up uv $(UV_VERSION) in $(TOOLS)"
	@$(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

build/runtime.stamp: $(UV) uv.lock $(wildcard */*/pyproject.toml) pyproject.toml
	@echo "setting up the Python environment in .venv"
	@$(UV) sync --frozen --no-dev --inexact --python $(PYTHON)
	@touch $@

build/dev.stamp: $(UV) uv.lock $(wildcard */*/pyproject.toml) pyproject.toml
	@echo "setting up the Python environment in .venv, with the development tools"
	@$(UV) sync --frozen --python $(PYTHON)
	@touch $@ build/runtime.stamp

setup: build/dev.stamp ## the environment with the development tools

run: build/runtime.stamp ## set up what is needed, start Vulcan, run a sample on every backend, keep serving
	@exec $(BIN)/vulcan up

test: build/dev.stamp ## every test, on the real NATS, Postgres and Deno
	$(BIN)/pytest $(ARGS)

unit: build/dev.stamp ## the tests that need no server
	$(BIN)/pytest tests/unit $(ARGS)

check: build/dev.stamp ## format, lint, types, imports
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: build/dev.stamp ## ratios against baselines, written to build/bench.json
	PYTHONPATH=tests $(BIN)/python -m bench $(ARGS)

format: build/dev.stamp ## format, and fix what the linter can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## remove what was built; the data directory stays
	rm -rf build .venv
