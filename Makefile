# demo test lint bench docs: five verbs, each works on a fresh clone. They set up .venv themselves; `make env` does only that.
.PHONY: demo test test-fast test-peers coverage lint bench docs env clean

VENV := .venv
BIN := $(VENV)/bin
# The newest Python that all dependencies have wheels for, else whatever python3 is.
PYTHON := $(shell for candidate in python3.13 python3.12 python3.11 python3; do \
	"$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$candidate" && break; done)
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --retries 5
WORKERS ?= 3
PEERS_WORKERS ?= 4
BENCHES := media_clock media_stream scanners sip_loss import_time sdk language_model speech_connectors word_errors load beside
CODE := src tests examples bench .ci/check_links.py .ci/assistant_pages.py .ci/site_pages.py

# Tests and benchmarks start hundreds of processes: none should compile what another one has compiled.
unexport PYTHONDONTWRITEBYTECODE

demo: $(VENV)/.installed
	$(BIN)/offhook demo

env: $(VENV)/.installed-dev

# Fast tests side by side; then those with real peers, which mostly wait, more of them side by side than there are cores; then
# those that judge times on the wire, one after the other, with the machine to themselves.
test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(WORKERS) -m "not peers" --durations=10
	$(BIN)/python -m pytest -n $(PEERS_WORKERS) --dist worksteal -m "peers and not alone" --durations=10
	$(BIN)/python -m pytest -m "peers and alone" --durations=5

test-fast: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(WORKERS) -m "not peers"

test-peers: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(PEERS_WORKERS) --dist worksteal -m "peers and not alone" --durations=10
	$(BIN)/python -m pytest -m "peers and alone" --durations=5

coverage: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(WORKERS) -m "not peers" --cov --cov-report=term:skip-covered

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(VENV)/.installed-dev
	@set -e; for name in $(BENCHES); do echo "== $$name"; if [ -d "bench/$$name" ]; then $(BIN)/python "bench/$$name"; else $(BIN)/python "bench/$$name.py"; fi; done

docs: $(VENV)/.installed-dev
	$(BIN)/python -m offhook.protocol.json_schema docs/reference
	$(BIN)/python -m offhook.service.settings_reference docs/run-the-service/settings.md
	$(BIN)/python -m offhook.testing.conformance docs/write-an-app/conformance.md
	$(BIN)/python .ci/assistant_pages.py
	$(BIN)/python .ci/check_links.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "The site: build/site/index.html"

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage dist build

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Offhook needs Python 3.11 or later with venv. Debian, Ubuntu: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) -e '.[server,espeak]'
	@touch $@

# silero-vad is here for one test (our numpy network against the original); its own dependencies are large and not needed.
$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) -e '.[server,espeak,dev,bench,docs]'
	$(PIP_INSTALL) --no-deps 'silero-vad==6.2.3'
	@touch $(VENV)/.installed $@
