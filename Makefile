# Two commands: `make demo` and `make test`. Both build .venv first; nothing else is needed beside Python 3.11+.
SHELL := /bin/sh
VENV ?= .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	if command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then echo $$p; break; fi; done)

.PHONY: demo test search env env-test screen lint lock clean

demo: env ## Run the main job on the shipped smears; open napari on the results where there is a display
	$(BIN)/napari-aml demo --out demo-results

test: env-test screen ## Run the whole test suite on a virtual screen
	sh tools/on-screen.sh $(BIN)/python -m pytest $(PYTEST_ARGS)

search: env-test screen ## Look for counterexamples: the property-based tests with ten times as many examples, drawn anew
	NAPARI_AML_SEARCH=10 sh tools/on-screen.sh $(BIN)/python -m pytest $(PYTEST_ARGS)

env: $(VENV)/.installed

env-test: $(VENV)/.installed-test

$(BIN)/uv:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found; set PYTHON=/path/to/python3."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

# Compiled once: where Python must not write bytecode, each process would do it anew (15 s for a network).
$(VENV)/.installed: pyproject.toml constraints.txt napari.yaml hatch_build.py | $(BIN)/uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable ".[all]"
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --group test
	@touch $@

screen: ## Add the system libraries for a virtual screen where they are missing (Debian and kin)
	sh tools/virtual-screen.sh

lint: env-test
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/lint-imports
	$(BIN)/mypy

lock: | $(BIN)/uv ## Pin the newest versions that fit pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --no-header --no-annotate --no-emit-index-url --extra all --extra teacher \
		--group test --upgrade --output-file constraints.txt pyproject.toml

clean:
	rm -rf $(VENV) demo-results
