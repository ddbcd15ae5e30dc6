# Every target sets itself up: only Linux, make and Python 3.11, 3.12 or 3.13 are needed.
VENV   ?= .venv
PYTHON := $(VENV)/bin/python
PIP    := $(PYTHON) -m pip --disable-pip-version-check
# Three processes for two cores, a file to each at a time, in order: what takes long is in front. Much of a run is waiting: for Ray, and for limits of time.
BY_FILE := --numprocesses 3 --dist loadfile --no-loadscope-reorder
# The environment's own commands (slideseg, ruff, mypy, mkdocs) are the ones that run.
export PATH := $(abspath $(VENV))/bin:$(PATH)

BENCHES := $(addprefix bench-,exactness engine int8 peers end_to_end memory objects overhead large pyramid read scale threads many train_step whole_run networks use)

.DEFAULT_GOAL := help
.PHONY: help demo wheel test test-slow chaos lint format docs docs-cli bench $(BENCHES) clean

help:  ## list the targets
	@grep -E '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: $(VENV)/.installed  ## install, make a slide, segment it with two workers and show the result
	slideseg demo

wheel: | $(PYTHON)  ## build the file that pip installs elsewhere, into dist/
	$(PIP) wheel --no-deps --wheel-dir dist .

test: $(VENV)/.installed-test  ## install with the test extra and run the whole test suite
	$(PYTHON) -m pytest $(BY_FILE)

test-slow: $(VENV)/.installed-test  ## run the tests that take minutes each
	$(PYTHON) -m pytest -m slow

chaos: $(VENV)/.installed-test  ## break what can break, for up to an hour; figures go to benchmarks/results/reliability.jsonl
	rm -f benchmarks/results/reliability.jsonl
	SLIDESEG_CHAOS=1 SLIDESEG_CHAOS_REPORT=$(abspath benchmarks/results/reliability.jsonl) $(PYTHON) -m pytest $(CHAOS) --timeout 3600 --durations 20 $(BY_FILE)
	$(PYTHON) -m tests.reliability.page
CHAOS := tests/reliability tests/unit/test_security.py tests/integration/test_train.py tests/integration/test_many.py tests/integration/test_predict_objects.py
CHAOS += tests/integration/test_train_cluster.py -k "reliability or security or killed or slides_of_a_manifest or each_node"

lint: $(VENV)/.installed-dev  ## check style, formatting and types
	ruff check .
	ruff format --check .
	mypy
	mypy --config-file benchmarks/mypy.ini benchmarks

format: $(VENV)/.installed-dev  ## put the code into its standard form
	ruff check --fix .
	ruff format .

docs: $(VENV)/.installed-dev  ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

docs-cli: $(VENV)/.installed-test  ## write docs/cli.md, docs/recipe.md and docs/notebook.md anew from the code and the notebook
	$(PYTHON) -m tests.test_docs --update

bench: $(BENCHES)  ## run every benchmark (or one: bench-exactness, bench-memory, ...)
	$(PYTHON) benchmarks/page.py

$(BENCHES): bench-%: $(VENV)/.installed-test
	$(PYTHON) benchmarks/bench_$*.py

bench-objects: $(VENV)/.installed-bench

clean:  ## remove what the targets made, and the environment
	rm -rf $(VENV) site demo dist

# --- the environment; a stamp tells what is installed, so that a second call installs nothing ---------------------------

$(VENV)/.installed: pyproject.toml constraints.txt | $(PYTHON)
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt tests/networks.txt | $(PYTHON)
	$(PIP) install -c constraints.txt -e '.[test]'
	$(PIP) install -c constraints.txt --no-deps -r tests/networks.txt
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-bench: pyproject.toml constraints.txt tests/networks.txt | $(PYTHON)
	$(PIP) install -c constraints.txt -e '.[test,bench]'
	$(PIP) install -c constraints.txt --no-deps -r tests/networks.txt
	@touch $@ $(VENV)/.installed-test $(VENV)/.installed

$(VENV)/.installed-dev: pyproject.toml constraints.txt tests/networks.txt | $(PYTHON)
	$(PIP) install -c constraints.txt -e '.[test,docs,dev]'
	$(PIP) install -c constraints.txt --no-deps -r tests/networks.txt
	@touch $@ $(VENV)/.installed-test $(VENV)/.installed

# The first Python that runs, has a fitting version and can make an environment; the constraints were tested with 3.11 most.
$(PYTHON):
	@for python in python3.11 python3.12 python3.13 python3 python; do \
	  if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	    && $$python -m venv $(VENV) && $(PIP) --version >/dev/null; then exit 0; fi; \
	done; rm -rf $(VENV); echo "error: no usable Python (want 3.11 to 3.13 with its venv module)" >&2; exit 1
