# make demo and make test do all the set-up; they are the two commands to know.
PYTHON ?= python3
VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo examples test check bench bench-peers bench-quality setup clean

BENCHMARKS := throughput prepare scaling memory scoring metrics predict serve from_lightgbm contended
QUALITY := kuairand ml100k "ml100k --split time" "market --size small" \
  "market --size medium --windows 1" "market --size large --windows 1 --trials 1" amazon3
EXAMPLES := ecommerce social voice

demo: setup  ## data, training, the matrix of cells, slates and a report in about two minutes
	$(BIN)/motet demo

examples: setup  ## a shop with reviews, a social network, voice services: one after the other
	for name in $(EXAMPLES); do $(BIN)/python examples/$$name/run.py || exit 1; done

test: setup  ## every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadscope

check: setup  ## lint, types, layers: seconds
	$(BIN)/ruff format --check motet tests benchmarks docs examples
	$(BIN)/ruff check motet tests benchmarks docs examples
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layers.py

bench: setup bench-peers  ## every measurement of speed and memory into benchmarks/results and docs: an hour on an idle machine
	for name in $(BENCHMARKS); do \
	  $(BIN)/python -m benchmarks.$$name --json > benchmarks/results/.$$name && \
	  mv benchmarks/results/.$$name benchmarks/results/$$name.json || exit 1; \
	done
	$(BIN)/python -m benchmarks.profile --json --picture docs/profile.svg > benchmarks/results/.profile
	mv benchmarks/results/.profile benchmarks/results/profile.json
	$(BIN)/python docs/tables.py

bench-quality: setup bench-peers  ## every fair table of models, on real data and the market: many hours, and goes on where it was stopped
	for data in $(QUALITY); do $(BIN)/python -m benchmarks.quality --keep --data $$data || exit 1; done
	$(BIN)/python docs/tables.py

bench-peers: $(PEERS)/.ready  ## the packages that we are compared with, in an environment of their own

$(PEERS)/.ready: constraints.txt benchmarks/peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --requirement benchmarks/peers.txt
	touch $(PEERS)/.ready

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Motet needs Python 3.11 or newer, this is "\
	  + sys.version.split()[0] + ": name another one, for instance make PYTHON=python3.12 $(or $(MAKECMDGOALS),demo)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,bench,movielens,tune,onnx]'
	touch $(READY)

clean:  ## remove what the commands made
	rm -rf $(VENV) $(PEERS) motet-demo .mypy_cache .ruff_cache
	for name in $(EXAMPLES); do (cd examples/$$name && rm -rf data prepared runs); done
