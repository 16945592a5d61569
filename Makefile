# One command for each thing. Everything is idempotent; what is up to date is not done again.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory --no-builtin-rules

BIN := .venv/bin
READY := .venv/.ready
SAM := .venv-sam/bin/sam
SAM_READY := .venv-sam/.ready
TRANSLATED := build/template.json
# The SAM CLI needs a Region to look at a template, though it asks nothing of it; and it is not to phone home.
SAM_ENV := AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} SAM_CLI_TELEMETRY=0
# The first Python of 3.11 or newer that runs and can make an environment. 3.13 is what runs on Lambda.
# A version manager's shim may be on the PATH and still not run, so each is tried. Give PYTHON=... to choose.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.14 python3.11 python3 python; do \
	if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$python; break; fi; done)
PIP_INSTALL := -m pip install -qq --disable-pip-version-check
TEST_ARGS ?=

.PHONY: help setup demo test lint template build check bench lock clean

help: ## what there is to make
	@grep -hE '^[a-z][a-z-]*:.*## ' $(firstword $(MAKEFILE_LIST)) | sort | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY) ## install everything the other commands need, into .venv

demo: $(READY) ## a Spot warning drains an instance, on an account in memory
	@$(BIN)/bulwark replay events/spot_interruption_warning.json

test: $(READY) ## all tests; TEST_ARGS="-k drain" for some
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(TEST_ARGS)

lint: $(READY) ## format, style, types, imports
	@$(BIN)/ruff format --check --quiet . || { echo "not formatted: run $(BIN)/ruff format ." >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@mkdir -p build && $(BIN)/lint-imports --no-logo > build/lint-imports.log || { cat build/lint-imports.log >&2; exit 1; }
	@echo "lint: clean"

template: $(READY) $(SAM_READY) ## template.yaml as cfn-lint and SAM see it, and what CloudFormation gets of it
	@$(BIN)/cfn-lint template.yaml
	@mkdir -p $(dir $(TRANSLATED))
	@$(BIN)/python -m tests.template.translated act > $(TRANSLATED)
	@$(BIN)/cfn-lint $(TRANSLATED)
	@$(SAM_ENV) $(SAM) validate --lint > build/sam-validate.log 2>&1 || { cat build/sam-validate.log >&2; exit 1; }
	@echo "template: clean"

build: $(READY) $(SAM_READY) ## what `sam deploy` uploads, in .aws-sam/build
	@mkdir -p build
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(SAM_ENV) $(SAM) build > build/sam-build.log 2>&1 || { cat build/sam-build.log >&2; exit 1; }
# SAM keeps to itself what the layer's build says.
	@ls .aws-sam/build/BulwarkLayer/python/bulwark/core/__pycache__/*.cpython-313.pyc >/dev/null 2>&1 \
		|| echo "warning: no CPython 3.13 here (set PYTHON313): layer not precompiled: cold start about +35 %" >&2
	@du -sh .aws-sam/build/*/ | sed 's/^/built: /'

check: lint template build test ## everything CI runs

bench: $(READY) ## calls, storm, time to safety, cold start, measured: a table
	@$(BIN)/python -m workbench.bench

lock: $(READY) ## pin and hash the newest versions of everything
	@$(BIN)/uv pip compile $(LOCK_ARGS) --universal --python-version 3.11 --upgrade -o requirements-dev.txt requirements-dev.in
	@$(BIN)/uv pip compile $(LOCK_ARGS) --universal --python-version 3.11 --upgrade -o requirements-sam.txt requirements-sam.in
	@$(BIN)/uv pip compile $(LOCK_ARGS) --python-version 3.13 --python-platform aarch64-manylinux_2_28 --upgrade \
		-o layers/bulwark/requirements.txt layers/bulwark/requirements.in
# Neither header nor index: both would name the registry of whoever locked last.
LOCK_ARGS := --quiet --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links

clean: ## remove what was built and cached; the environments stay
	@rm -rf .aws-sam build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	@find . -path ./.venv -prune -o -path ./.venv-sam -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf

$(READY): requirements-dev.txt pyproject.toml
	@$(call make_environment,.venv,requirements-dev.txt)
	@$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(SAM_READY): requirements-sam.txt
	@$(call make_environment,.venv-sam,requirements-sam.txt)
	@touch $@

# An environment in folder $(1) with exactly what file $(2) pins: nothing is resolved here.
define make_environment
test -n "$(PYTHON)" || { echo "no Python 3.11 or newer with venv here: install one, or give PYTHON=/path/to/python3" >&2; exit 2; }; \
echo "setting up $(1) with $(PYTHON) (a minute or two)"; \
$(PYTHON) -m venv $(1); \
$(1)/bin/python $(PIP_INSTALL) --no-deps --require-hashes --requirement $(2); \
$(1)/bin/python -m pip check >/dev/null || { echo "$(2) is not complete: $$($(1)/bin/python -m pip check)" >&2; exit 1; }
endef
