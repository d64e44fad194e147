# make install | serve | test | lint | numerics | bench | bench-large | clean: each works alone on a fresh clone
# with Python 3.11 and pip, and is quick the second time. pip's own configuration says where
# packages come from.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
DEFAULT_MODEL := smollm2-135m-instruct

.PHONY: install serve test lint format numerics bench bench-large clean
.DELETE_ON_ERROR:

install: $(VENV)/.installed

serve: install  ## e.g. make serve ARGS="--port 9000"
	$(BIN)/minikin serve $(ARGS)

test: $(VENV)/.installed-test  ## e.g. make test ARGS="-m 'not model' tests/hub"
	model="$$($(BIN)/minikin pull $(DEFAULT_MODEL))" && \
	MINIKIN_TEST_MODEL="$$model" OMP_NUM_THREADS=1 \
	    $(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

numerics: $(VENV)/.installed-test  ## the engine's logits against transformers in float32
	$(BIN)/python -m bench.numerics "$$($(BIN)/minikin pull $(DEFAULT_MODEL))"

bench: $(VENV)/.installed-test  ## speed beside other servers, in one run; up to an hour of a quiet machine
	$(BIN)/python -m bench.speed "$$($(BIN)/minikin pull $(DEFAULT_MODEL))" $(ARGS)

bench-large: $(VENV)/.installed-test  ## a model of 7B's shape beside llama.cpp's server; needs 4 GB of disk
	$(BIN)/python -m bench.large "$$($(BIN)/minikin pull $(DEFAULT_MODEL))" $(ARGS)

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.installed-lint
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis

# Debian's Python has no ensurepip unless python3-venv is installed; pip can then fill the new
# environment from outside.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Minikin needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV) || { \
	    $(PYTHON) -m venv --clear --without-pip $(VENV) && \
	    $(PYTHON) -m pip --python $(VENV) install pip; }

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) --editable '.[test]'
	$(PIP) --no-deps instructor  # it asks for older versions of rich and jiter than openai does
	@touch $@

$(VENV)/.installed-lint: $(VENV)/.installed
	$(PIP) --editable '.[lint]'
	@touch $@
