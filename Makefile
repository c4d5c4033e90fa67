# Each target creates .venv, installs what constraints.txt pins, and does its work.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two processes: most tests run Kedro, which keeps a core or two busy by itself.
PYTEST := $(BIN)/python -m pytest -n 2
INSTALLED := $(VENV)/.installed

.PHONY: run serve what-if lineage test test-all lint bench docs clean

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "Python 3.11, 3.12 or 3.13 is needed; choose one with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[test]"
	@touch $@

## run: train and evaluate smtpd_ep on the sample
run: $(INSTALLED)
	$(BIN)/kedro run --pipeline=smtpd_ep
	@echo
	@echo "Report    data/08_reporting/smtpd_ep/report.html (open it in a browser)"
	@echo "Metrics   data/08_reporting/smtpd_ep/metrics.json"
	@echo "Figures   data/08_reporting/smtpd_ep/*.plotly.json"
	@echo "Lineage   $(BIN)/kedro viz run"
	@echo "Runs      $(BIN)/mlflow ui --backend-store-uri sqlite:///mlflow.db"

## serve: answer requests with the champion, e.g. make serve FAMILY=smtpd_ep; VERSION=latest or a number serves another
VERSION ?= champion
PORT ?= 5001
serve: $(INSTALLED)
	@test -n "$(FAMILY)" || { echo "Which model? make serve FAMILY=smtpd_ep [VERSION=latest|number] [PORT=5001]"; exit 1; }
	$(BIN)/kedro serve --family=$(FAMILY) --version=$(VERSION) --port=$(PORT)

## what-if: a page that forecasts a video and shows what moves the forecast, e.g. make what-if FAMILY=smtpd_ep
PAGE_PORT ?= 8501
what-if: $(INSTALLED)
	@test -n "$(FAMILY)" || { echo "Which model? make what-if FAMILY=smtpd_ep [VERSION=latest|number] [PAGE_PORT=8501]"; exit 1; }
	$(BIN)/kedro what-if --family=$(FAMILY) --version=$(VERSION) --port=$(PAGE_PORT)

## lineage: a static site of all pipelines, datasets and figures, with previews of what has been run
lineage: $(INSTALLED)
	$(BIN)/kedro lineage

## test: lint and the fast tests (under 10 minutes)
test: lint
	$(PYTEST) -m "not slow"

## test-all: every test (under 40 minutes)
test-all: lint
	$(PYTEST)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

## bench: performance claims, each against its written-down reference
bench: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[test,bench]"
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

## docs: run every command of the documentation on the sample
docs: $(INSTALLED)
	$(BIN)/python docs/run_commands.py

clean:
	rm -rf $(VENV)
