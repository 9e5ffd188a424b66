# make run | study | test | check | report | throughput. Each makes its own virtual environment, once.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/ready

.PHONY: help install run study report test check throughput clean

help:
	@echo "make run         the default study: every method on the embedded scenes, quick preset, and its report"
	@echo "make study       the study of docs/study.md, a cell after the other: make study DATA=DIR CELLS='A D'"
	@echo "make report      tables, figures and page again, from results/records alone"
	@echo "make test        the tests"
	@echo "make check       style and types"
	@echo "make throughput  training steps and inference passes a second (pytest-benchmark)"
	@echo "make clean       remove the virtual environment"

install: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mtlbench needs Python 3.11 or newer: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

run: $(READY)
	$(BIN)/python -m mtlbench run --methods all

# DATA holds nyuv2, pacs and fdu-mtl. Finished runs are skipped, interrupted ones go on: the same command continues it.
DATA ?= data
CELLS ?= K G A P L R D PD C1 PC C0 F E B X

study: $(READY)
	for cell in $(CELLS); do \
	    DATA=$(DATA) $(BIN)/python -m mtlbench run --config docs/study/$$cell.yaml --no-report || exit; \
	done
	$(BIN)/python -m mtlbench report results

report: $(READY)
	$(BIN)/python -m mtlbench report results

# One thread each: the tests' tensors are tiny, and two processes share the cores.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

throughput: $(READY)
	$(BIN)/python -m pytest tests/throughput --benchmark-only

clean:
	rm -rf $(VENV)
