# make demo and make test do all the set-up; they are the two commands to know.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check setup clean

demo: setup  ## data, training, the matrix of cells, slates and a report in about two minutes
	$(BIN)/motet demo

test: setup  ## every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadscope

check: setup  ## lint, types, layers: seconds
	$(BIN)/ruff format --check motet tests benchmarks docs
	$(BIN)/ruff check motet tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layers.py

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,bench,movielens]'
	touch $(READY)

clean:  ## remove what the commands made
	rm -rf $(VENV) motet-demo .mypy_cache .ruff_cache
