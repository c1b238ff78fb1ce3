# Two commands set everything up and do something: `make compare` and `make test`.
# Each makes .venv from the exact versions in constraints.txt; the second run of either starts at once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.seqkit-
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
JOBS ?= 2

.PHONY: compare test lint docs lock clean help

help:  ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "seqkit needs Python 3.11 to 3.13, but $(PYTHON) is $$($(PYTHON) --version); try: make PYTHON=python3.12 ..."; exit 1; }
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(STAMP)run: constraints.txt pyproject.toml | $(VENV)/bin/python
	@echo "installing seqkit and its dependencies (once)"
	@$(PIP) --editable '.[parquet,torch]'
	@$(BIN)/python -m compileall -q seqkit
	@touch $@

$(STAMP)dev: $(STAMP)run
	@echo "installing the test tools (once)"
	@$(PIP) --editable '.[dev,distributed]'
	@touch $@

compare: $(STAMP)run  ## compare models on real datasets: a leaderboard, plots and out/report.html
	@$(BIN)/seqkit compare airline lynx sunspots nile co2 us_macro:realgdp --jobs 2 --out out

test: $(STAMP)dev  ## the whole test suite, tutorials included
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(JOBS) --dist worksteal  # lessons are processes of their own

lint: $(STAMP)dev  ## style and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

docs: $(STAMP)run  ## the reference of every public name, in out/docs
	@$(PIP) --editable '.[docs]'
	@$(BIN)/pdoc --output-directory out/docs seqkit

lock:  ## renew constraints.txt from the ranges in pyproject.toml (needs uv)
	# torch by hand, with what it needs: the resolver would take the build that brings CUDA along
	mkdir -p build && echo "torch; python_version < '3'" > build/overrides.txt
	printf 'filelock\nfsspec\nmpmath\nnetworkx\nsympy\n' | uv pip compile pyproject.toml - --all-extras --universal \
	  --python-version 3.11 --no-header --no-annotate --overrides build/overrides.txt --output-file constraints.txt
	sed -i '/^torch/d' constraints.txt && echo 'torch==2.13.0' >> constraints.txt

clean:  ## forget the environment and everything made
	rm -rf $(VENV) out build dist
