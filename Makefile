# Every chore of the project, one word each; `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
WORKERS ?= 3
PYTEST := $(BIN)/python -m pytest
LOCK_FLAGS := --quiet --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-index-url \
	--no-emit-find-links --no-emit-trusted-host

# Bytecode is kept, whatever the environment says: each of the many processes of the tests would compile the project.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo serve test lint check interop bench soak docs fmt lock clean
.DELETE_ON_ERROR:

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## a code to a simulated handset and back, a PDF signed by SMS and on a page, step by step
	@$(BIN)/sceau demo

serve: $(STAMP) ## run the server; writes sceau.toml first if there is none
	@test -e sceau.toml || $(BIN)/sceau init
	@exec $(BIN)/sceau serve

test: $(STAMP) ## run the tests (needs no system package)
	@$(PYTEST) -n $(WORKERS) --dist worksteal -m "not interop and not soak"

lint: $(STAMP) ## formatting, ruff, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

check: lint test ## lint and test

interop: $(STAMP) ## test against Kannel, tshark and Chromium, as far as they are installed
	@for tool in bearerbox tshark chromium; do \
		PATH="$$PATH:/usr/sbin" command -v $$tool > /dev/null || echo "interop: $$tool is not installed; its tests are skipped"; \
	done
	@$(PYTEST) -m interop

bench: $(STAMP) ## measure, and print the table of docs/benchmarks.md
	@$(BIN)/python -m bench

soak: $(STAMP) ## the full-length proofs
	@$(PYTEST) -n $(WORKERS) --dist worksteal -m soak

docs: $(STAMP) ## write what the pages of docs/ take from the code
	@$(BIN)/python -m docs.generate

fmt: $(STAMP) ## format the code and mend what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(STAMP) ## pin every dependency by hash again, from pyproject.toml
	$(BIN)/pip-compile $(LOCK_FLAGS) --extra dev --output-file requirements.lock pyproject.toml

clean: ## remove the virtual environment and every cache; settings and data stay
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .make
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) > /dev/null \
		|| { echo "there is no $(PYTHON): apt install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than Python 3.11: make PYTHON=python3.11 …" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2> /dev/null \
		|| { echo "$(PYTHON) cannot make virtual environments: apt install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (once, a minute or so)"
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes --only-binary :all: \
		-r requirements.lock
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation -e .
	@touch $@
