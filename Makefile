# `make run` and `make test` do all set-up on a fresh machine with Python >= 3.11 and pip.
PYTHON ?= python3
VENV = .venv
BIN = $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)
export NO_MKDOCS_2_WARNING = 1

.PHONY: run test test-fast test-all coverage check docs help

run: $(VENV)/.installed  ## the default experiment, to results/phantom/report.html
	snakemake --cores all --resources gpu=1

test: check  ## style, types and tests
	snakemake --lint
	pytest -n 2

test-fast: check  ## style, types and the tests that start no workflow
	pytest -n 2 -m "not long and not workflow and not parity"

test-all: check  ## also the long campaigns, and the lines that they reach
	snakemake --lint
	pytest -n 2 -m "long or not long" --cov=shamsul --cov-report=term:skip-covered

coverage: $(VENV)/.installed-dev  ## the lines of shamsul/ that the fast tests reach
	pytest -n 2 -m "not long and not workflow and not parity" \
		--cov=shamsul --cov-report=term-missing:skip-covered

check: $(VENV)/.installed-dev  ## style, types and spelling
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	mypy
	codespell

# The picture needs graphviz and stays as it is without. It is of a fresh folder, without the edges
# that others imply.
docs: $(VENV)/.installed-dev  ## generated pages, picture of the rules, and the site, to site/
	python -m shamsul.reference
	if command -v dot > /dev/null && command -v tred > /dev/null; then \
		folder=$$(mktemp -d) && snakemake --directory "$$folder" --rulegraph | tred \
			| sed s/fontname=sans,/fontname=Helvetica,/ \
			| dot -Grankdir=LR -Tsvg > docs/rulegraph.svg; rm -r "$$folder"; \
	else echo "no graphviz: docs/rulegraph.svg is not drawn anew"; fi
	mkdocs build --strict

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile

# Torch comes in a build for each kind of processor; what pip takes by itself is right.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	pip install --disable-pip-version-check -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml $(VENV)/.installed
	pip install --disable-pip-version-check -e ".[dev]"
	touch $@
