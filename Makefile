# `make help` lists the targets. Each works on a fresh clone with Python 3.11 and pip, and is fast the
# second time. pip's configuration decides where packages come from.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
DEFAULT_MODEL := smollm2-135m-instruct

.PHONY: install help serve wheel wheel-test test test-all test-gpu test-arm64 test-macos test-clients test-cluster attacks fuzz fuzz-bytes lint lint-macos format numerics determinism quality bench bench-gpu bench-large bench-page bench-state bench-seeing bench-stored pictures bench-http bench-scale-out overload kill-test soak profile clean
.DELETE_ON_ERROR:
# Without compiled files, each process that a test starts compiles Minikin again.
unexport PYTHONDONTWRITEBYTECODE

install: $(VENV)/.installed  ## install Minikin into .venv (the default target)

help:  ## list these targets
	@sed -n 's/^\([a-z-]*\):.*  ## /\1|/p' $(MAKEFILE_LIST) | awk -F '|' '{printf "make %-12s %s\n", $$1, $$2}'

serve: install  ## serve the default model; options in ARGS, e.g. ARGS="--port 9000"
	$(BIN)/minikin serve $(ARGS)

test: $(VENV)/.installed-test  ## run the tests, without those that take long; pytest arguments in ARGS, e.g. ARGS="tests/hub -x"
	model="$$($(BIN)/minikin pull $(DEFAULT_MODEL))" && \
	MINIKIN_TEST_MODEL="$$model" OMP_NUM_THREADS=1 \
	    $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)

test-all: $(VENV)/.installed-test  ## run the tests, and those that take long, as .ci/run does
	MINIKIN_EXAMPLES=12 MINIKIN_MUTATIONS=500 $(MAKE) test ARGS="-m 'not slow and not clients and not wheel and not arm64 and not macos and not cluster' $(ARGS)"

test-clients: $(VENV)/.installed-test  ## run other clients, which it installs from npm and PyPI; e.g. ARGS="-k litellm"
	model="$$($(BIN)/minikin pull $(DEFAULT_MODEL))" && \
	MINIKIN_TEST_MODEL="$$model" OMP_NUM_THREADS=1 \
	    $(BIN)/python -m pytest --numprocesses 2 -m clients tests/clients $(ARGS)

test-arm64: $(VENV)/.installed-test  ## build the wheel for 64-bit ARM, and run its kernels in emulation
	model="$$($(BIN)/minikin pull $(DEFAULT_MODEL))" && \
	MINIKIN_TEST_MODEL="$$model" OMP_NUM_THREADS=1 \
	    $(BIN)/python -m pytest -m "arm64 and not slow" tests/test_arm64.py $(ARGS)

test-macos: $(VENV)/.installed-macos  ## compile the kernels and the wheel for macOS, with the clang of Zig; nothing of it runs
	$(BIN)/python -m pytest -m macos tests/test_macos.py $(ARGS)

test-gpu: $(VENV)/.installed-gpu  ## run the kernels for GPUs in Triton's interpreter, and compile them; needs no GPU
	TRITON_INTERPRET=1 OMP_NUM_THREADS=1 \
	    $(BIN)/python -m pytest --numprocesses 2 -m gpu tests/engine/cuda/kernels $(ARGS)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 -m gpu tests/engine/cuda/kernels $(ARGS)

# Ray listens on all addresses, and its processes outlive the one that starts them if that is killed.
# So it runs in a network and with process ids of its own where that is allowed. The shell stays to
# wait for processes without a parent.
ALONE = unshare --net --pid --fork --kill-child --mount-proc
test-cluster: $(VENV)/.installed-cluster  ## start two engines and two edges on Ray, and run tests with them; e.g. ARGS="-k oracle"
	model="$$($(BIN)/minikin pull $(DEFAULT_MODEL))"; \
	alone="$$($(ALONE) ip link set lo up 2>/dev/null && echo '$(ALONE)')"; \
	MINIKIN_TEST_MODEL="$$model" OMP_NUM_THREADS=1 \
	    $$alone sh -c "$${alone:+ip link set lo up;} $(BIN)/python -m pytest -m cluster tests/cluster $(ARGS); exit \$$?"

attacks: $(VENV)/.installed-test  ## send every request of tests/attacks to a server; e.g. ARGS="--sections ab"
	model="$$($(BIN)/minikin pull $(DEFAULT_MODEL))" && \
	MINIKIN_TEST_MODEL="$$model" $(BIN)/python -m tests.attacks $(ARGS)

fuzz: $(VENV)/.installed-test  ## send 10,000 changed bodies a route to the default model, and what the OpenAPI document allows
	model="$$($(BIN)/minikin pull $(DEFAULT_MODEL))" && \
	MINIKIN_TEST_MODEL="$$model" MINIKIN_MUTATIONS=10000 MINIKIN_EXAMPLES=100 \
	    $(BIN)/python -m pytest --timeout 3600 -m slow -k real \
	    tests/api/request/test_mutations.py tests/api/page/test_docs.py $(ARGS)

fuzz-bytes: $(VENV)/.installed-test  ## fuzz model files, tokenizers, bodies and templates, guided by coverage; e.g. ARGS="--seconds 600"
	$(BIN)/python -m tests.fuzz $(ARGS)

wheel: install  ## build the wheel with its kernels into dist/, and that of arm64 if its cross compiler is there
	$(PIP) wheel --no-deps --wheel-dir dist .
	if command -v aarch64-linux-gnu-gcc; then MINIKIN_WHEEL_MACHINE=aarch64 $(PIP) wheel --no-deps --wheel-dir dist .; fi

wheel-test: $(VENV)/.installed-test  ## install the built wheel for each Python on the path, and ask it; WHEEL_PYTHONS names others
	model="$$($(BIN)/minikin pull $(DEFAULT_MODEL))" && \
	MINIKIN_TEST_MODEL="$$model" $(BIN)/python -m pytest -m wheel tests/test_wheel.py $(ARGS)

numerics: $(VENV)/.installed-test  ## compare the engine's logits with transformers in float32
	$(BIN)/python -m bench.numerics "$$($(BIN)/minikin pull $(DEFAULT_MODEL))"

determinism: $(VENV)/.installed-test  ## run 2,000 seeded requests alone and among others; count different answers
	$(BIN)/python -m bench.determinism "$$($(BIN)/minikin pull $(DEFAULT_MODEL))" $(ARGS)

quality: $(VENV)/.installed-test  ## count the right answers to 107 small jobs, also those of llama.cpp's server
	$(BIN)/python -m bench.quality "$$($(BIN)/minikin pull $(DEFAULT_MODEL))" $(ARGS)

bench: $(VENV)/.installed-test  ## compare the speed with other servers; takes up to an hour on an idle machine
	$(BIN)/python -m bench.speed "$$($(BIN)/minikin pull $(DEFAULT_MODEL))" $(ARGS)

bench-gpu: $(VENV)/.installed-gpu  ## check and measure an NVIDIA GPU; the report is bench/results/gpu.json
	$(BIN)/python -m bench.gpu $(ARGS)

bench-large: $(VENV)/.installed-test  ## compare models of 1B, 7B, a mixture and a hybrid with llama.cpp; needs 12 GB of disk, and npm
	$(BIN)/python -m bench.large "$$($(BIN)/minikin pull $(DEFAULT_MODEL))" $(ARGS)

bench-state: $(VENV)/.installed-test  ## measure what storing and batches cost other requests; e.g. ARGS="--only batch"
	$(BIN)/python -m bench.state "$$($(BIN)/minikin pull $(DEFAULT_MODEL))" $(ARGS)

bench-seeing: $(VENV)/.installed-test  ## measure what metrics and logs cost at 32 streams; e.g. ARGS="--pairs 40"
	$(BIN)/python -m bench.seeing "$$($(BIN)/minikin pull $(DEFAULT_MODEL))" $(ARGS)

bench-stored: $(VENV)/.installed-test  ## measure what --prefix-store saves after a restart, and costs as it writes
	$(BIN)/python -m bench.stored_prompts "$$($(BIN)/minikin pull $(DEFAULT_MODEL))" $(ARGS)

bench-page: $(VENV)/.installed-test  ## measure the pages in Chromium: long tasks, first answer, cost of open pages
	$(BIN)/python -m bench.page "$$($(BIN)/minikin pull $(DEFAULT_MODEL))" $(ARGS)

pictures: $(VENV)/.installed-test  ## make the pictures of the pages in docs/pictures anew
	$(BIN)/python -m bench.pictures "$$($(BIN)/minikin pull $(DEFAULT_MODEL))"

bench-http: $(VENV)/.installed-test  ## measure the HTTP side's CPU time for a streamed token; e.g. ARGS="--streams 32"
	$(BIN)/python -m bench.http_cost "$$($(BIN)/minikin pull $(DEFAULT_MODEL))" $(ARGS)

bench-scale-out: $(VENV)/.installed-cluster  ## compare Ray Serve with servers behind HAProxy, on a machine without other work; e.g. ARGS="--rounds 1"
	model="$$($(BIN)/minikin pull $(DEFAULT_MODEL))"; \
	alone="$$($(ALONE) ip link set lo up 2>/dev/null && echo '$(ALONE)')"; \
	$$alone sh -c "$${alone:+ip link set lo up;} $(BIN)/python -m bench.scale_out $$model $(ARGS); exit \$$?"

overload: $(VENV)/.installed-test  ## send ten times more requests than the server can answer; e.g. ARGS="--seconds 20"
	$(BIN)/python -m bench.overload "$$($(BIN)/minikin pull $(DEFAULT_MODEL))" $(ARGS)

kill-test: $(VENV)/.installed-test  ## kill each process of a server again and again under streams; e.g. ARGS="--times 10"
	$(BIN)/python -m bench.kill "$$($(BIN)/minikin pull $(DEFAULT_MODEL))" $(ARGS)

soak: $(VENV)/.installed-test  ## send mixed traffic for two hours, and report memory and latency; e.g. ARGS="--seconds 900"
	$(BIN)/python -m bench.soak "$$($(BIN)/minikin pull $(DEFAULT_MODEL))" $(ARGS)

profile: $(VENV)/.installed-test  ## show where the time of a step goes, with perf; e.g. ARGS="--answers 32"
	$(BIN)/python -m bench.profile "$$($(BIN)/minikin pull $(DEFAULT_MODEL))" $(ARGS)

lint: $(VENV)/.installed-lint  ## check rules, format and types (ruff, pyright)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python

lint-macos: $(VENV)/.installed-lint  ## check types against the standard library of macOS
	$(BIN)/pyright --pythonpath $(BIN)/python --pythonplatform Darwin

format: $(VENV)/.installed-lint  ## fix what ruff can fix
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:  ## delete .venv and the caches of the tools
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis

# Debian's Python has no ensurepip unless python3-venv is installed; pip can then fill the new
# environment from outside.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Minikin needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV) || { \
	    $(PYTHON) -m venv --clear --without-pip $(VENV) && \
	    $(PYTHON) -m pip --python $(VENV) install pip; }

# The native kernels are compiled at the first start. Without a compiler, PyTorch computes. pip would
# compile all Python files too, in 7 s of CPU time. The first start compiles those that it imports, in 3 s.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Minikin and its packages into $(VENV)."
	$(PIP) --no-compile --editable '.$(if $(shell command -v gcc || command -v clang),,[torch])'
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) --editable '.[test]'
	$(PIP) --no-deps instructor  # it asks for older versions of rich and jiter than openai does
	@touch $@

$(VENV)/.installed-gpu: $(VENV)/.installed-test
	$(PIP) --editable '.[test,triton]'
	@touch $@

$(VENV)/.installed-macos: $(VENV)/.installed-test
	$(PIP) ziglang hatchling
	@touch $@

$(VENV)/.installed-cluster: $(VENV)/.installed-test
	$(PIP) --editable '.[ray]'
	@touch $@

$(VENV)/.installed-lint: $(VENV)/.installed
	$(PIP) --editable '.[lint]'
	@touch $@
