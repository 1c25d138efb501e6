# What one types here.  `make` alone prints this list.
#
#   make run [ARGS=--once]   the service on ./config.yaml; makes .venv first
#   make test [ARGS=…]       the whole suite; ARGS go to pytest
#   make check               what CI asks beside the tests: style, types, the import rule
#   make docs                docs/reference/, made from the code
#   make chaos               kills, full disks, dying relays, at length (the suite holds a short form)
#   make bench               how fast it delivers, beside the usual way and the limit (BENCH_MESSAGES=1000), imports and
#                            exports readers (BENCH_LINES=100000), composes for them (BENCH_SUBSCRIBERS=100000), and
#                            collects feeds, beside the package reader (BENCH_SOURCES=2000)
#   make lock                pin the dependencies anew, with hashes, from pyproject.toml
#   make clean               remove what was made, but not data/, feeds/ and outbox/

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help run test check docs chaos bench lock clean
help:
	@sed -n 's/^#   //p' $(MAKEFILE_LIST)

# The stamps make a warm start cheap: nothing is asked of pip unless a pin changed.  The package itself is installed
# editable and without its dependencies, which the pinned file has already brought.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; set PYTHON=/path/to/it"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "This Python cannot make environments; on Debian: apt-get install python3-venv"; exit 1; }

$(VENV)/.run: requirements.txt pyproject.toml | $(BIN)/python
	@echo "Installing what is pinned in requirements.txt into $(VENV) …"
	@$(PIP) install --require-hashes -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.test: requirements-test.txt $(VENV)/.run
	@echo "Installing what is pinned in requirements-test.txt into $(VENV) …"
	@$(PIP) install --require-hashes -r requirements-test.txt
	@touch $@

run: $(VENV)/.run
	@$(BIN)/publisher run $(ARGS)

# Most tests wait for a server, a process or a clock: four at a time keep two processors busy.
test: $(VENV)/.test
	@$(BIN)/python -m pytest -n 4 --dist worksteal $(ARGS)

check: $(VENV)/.test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

docs: $(VENV)/.run
	@$(BIN)/python docs/reference/make.py

chaos: $(VENV)/.test
	@CHAOS_KILLS=1000 $(BIN)/python -m pytest -s tests/chaos tests/test_killed.py $(ARGS)

bench: $(VENV)/.test
	@$(BIN)/python -m bench.delivery
	@$(BIN)/python -m bench.readers
	@$(BIN)/python -m bench.collecting

COMPILE = $(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options --build-deps-for editable
lock: $(VENV)/.run
	@$(PIP) install pip-tools
	@$(COMPILE) --extra test -o requirements-test.txt pyproject.toml
	@$(COMPILE) -c requirements-test.txt -o requirements.txt pyproject.toml

clean:
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -prune -exec rm -rf {} +
