# `make run` and `make test` do all set-up on a fresh machine with Python >= 3.11 and pip.
PYTHON ?= python3
VENV = .venv
BIN = $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: run test test-all docs

run: $(VENV)/.installed  ## the default experiment, to results/phantom/report.html
	snakemake --cores all --resources gpu=1

test: $(VENV)/.installed-dev  ## lint, types and tests
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	mypy
	snakemake --lint
	pytest -n 2

test-all: $(VENV)/.installed-dev  ## also the long campaigns
	pytest -n 2 -m "long or not long"

# Needs graphviz. The picture is of a fresh folder, without the edges that others imply.
docs: $(VENV)/.installed  ## schema and page of the configuration, picture of the rules
	python -m shamsul.schema
	folder=$$(mktemp -d) && snakemake --directory "$$folder" --rulegraph | tred \
		| sed s/fontname=sans,/fontname=Helvetica,/ \
		| dot -Grankdir=LR -Tsvg > docs/rulegraph.svg; rm -r "$$folder"

# Torch comes in a build for each kind of processor; what pip takes by itself is right.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	pip install --disable-pip-version-check -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml $(VENV)/.installed
	pip install --disable-pip-version-check -e ".[dev]"
	touch $@
