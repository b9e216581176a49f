# callbridge: `make` says what there is to make.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
.PHONY: help install run demo test bench faults check clean

BIN := $(VENV)/bin
PINS := .constraints.txt
PROJECTS := pyproject.toml $(wildcard plugins/*/pyproject.toml)
PLUGINS := $(patsubst %/pyproject.toml,-e ./%,$(wildcard plugins/*/pyproject.toml))
PACKAGES := $(patsubst %/__init__.py,%,$(wildcard plugins/*/callbridge_*/__init__.py examples/*/callbridge_*/__init__.py))
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --constraint $(PINS)

# Where Python is told to keep nothing that it compiled, as in many containers, each start compiles the bridge anew, and
# the tests start it a hundred times.
COMPILE := $(BIN)/python -m compileall -q bridge $(PACKAGES)
export PYTHONDONTWRITEBYTECODE :=

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

install: $(VENV)/runtime.stamp ## install the bridge and its plugins into .venv

demo: $(VENV)/runtime.stamp ## see the main job: a morning of calls reaches a chat channel (ARGS=--exit ends by itself)
	@$(BIN)/python examples/demo/demo.py $(ARGS)

run: $(VENV)/runtime.stamp ## start the bridge with config/bridge.toml
	@$(BIN)/callbridge serve --config config/bridge.toml

test: check ## check, and run every test
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder tests plugins

check: $(VENV)/dev.stamp ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict bridge $(PACKAGES) $(wildcard examples/demo/*.py) tests/bench/ceiling.py
	$(BIN)/lint-imports

bench: $(VENV)/dev.stamp ## measure speed, memory and the start
	@$(BIN)/python tests/bench/run.py $(ARGS)
	@$(BIN)/python tests/bench/screens.py $(ARGS)

faults: $(VENV)/dev.stamp ## break everything that can break, and count what is lost (ARGS="--kills 16" for less)
	@$(BIN)/python -m tests.faults.run $(ARGS)

clean: ## remove .venv and what the tools left; var/ (your data) stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find . -name .git -prune -o \( -name __pycache__ -o -name '*.egg-info' \) -prune -exec rm -rf {} +

# --- the environment ----------------------------------------------------------------------------------------------

# Python 2.7 and up read this, so that an old one can be told.
define LOOK_AT_PYTHON
import sys
version = "%d.%d" % sys.version_info[:2]
if sys.version_info < (3, 11):
    sys.exit("callbridge needs Python 3.11 or newer, and $(PYTHON) is %s: name another, as in make PYTHON=python3.13" % version)
try:
    import ensurepip, venv
except ImportError:
    sys.exit("$(PYTHON) has no venv. On Debian and Ubuntu, as root: apt-get install python%s-venv" % version)
endef
export LOOK_AT_PYTHON

# A venv that pip does not run in was left half made: it is made anew.
define MAKE_VENV
@command -v $(PYTHON) >/dev/null || { echo "there is no $(PYTHON): install Python 3.11 or newer" >&2; exit 1; }
@$(PYTHON) -c "$$LOOK_AT_PYTHON"
@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "making $(VENV)"; $(PYTHON) -m venv --clear $(VENV); }
endef

# setuptools comes first, pinned like the rest, so that pip need not make a place of its own to build in for each.
$(VENV)/runtime.stamp: $(PROJECTS) $(PINS)
	$(MAKE_VENV)
	@echo "installing the bridge and its plugins into $(VENV)"
	@$(PIP) setuptools
	@$(PIP) --no-build-isolation -e '.[postgresql]' $(PLUGINS)
	@$(COMPILE)
	@touch $@

$(VENV)/dev.stamp: $(PROJECTS) $(PINS)
	$(MAKE_VENV)
	@echo "installing the bridge, its plugins and the tools for its tests into $(VENV)"
	@$(PIP) setuptools
	@$(PIP) --no-build-isolation -e '.[dev]' $(PLUGINS)
	@$(COMPILE)
	@touch $@ $(VENV)/runtime.stamp
