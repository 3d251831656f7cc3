# Tidemill: `make help` lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules
# The stack and its tests start hundreds of Python processes, which share their compiled modules.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
# An install is needed when SOURCES are newer than the stamp of the installed extras.
SOURCES := pyproject.toml constraints.txt
INSTALLED := .venv/.installed-all
INSTALLED_DEV := .venv/.installed-all-dev
INSTALL_LOG := .venv/install.log
BENCHMARKS := bench.serving bench.serving.profile bench.serving.perf_analyzer bench.serving.memory \
	bench.serving.survival bench.serving.restarts bench.serving.outage bench.data bench.training \
	bench.training.scale bench.training.corrections bench.console bench.labeling bench.monitoring.hostile_feedback \
	bench.monitoring.selective_feedback bench.monitoring.drift bench.monitoring.size bench.scoring

# Constraints from the environment also pin the build's packages; pip's own option does not.
PIP_ENVIRONMENT := PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT='$(CURDIR)/constraints.txt' \
	PIP_BUILD_CONSTRAINT='$(CURDIR)/constraints.txt'

.PHONY: help run replay test e2e check bench proto compose-check compose-test helm-check clean

help: ## Show this list
	@echo "Tidemill keeps a text classifier good after launch. Targets:"
	@echo
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-22s%s\n", $$1, $$2 }'
	@echo
	@echo "Start with: make run. It installs what it needs into .venv; Ctrl-C stops it."
	@echo "Settings: tidemill.toml, or the environment, as in TIDEMILL_GRPC_PORT=50052 make run."

# exec: an interrupt or a SIGTERM reaches tidemill itself, and make waits for it.
run: $(INSTALLED) ## Start everything: Triton, server and jobs, on the shipped example
	@exec $(BIN)/tidemill up

# A replay of another file: make replay DATA=titles.tsv FROM=2015-01-01 UNTIL=2018-12-31
DATA ?= examples/arxiv/titles_1989_2014.tsv.xz
FROM ?= 2011-01-01
UNTIL ?= 2014-12-31
SEED ?= 0

replay: $(INSTALLED) ## Replay four years of paper titles through the loop; writes replay.html
	@cd examples/arxiv && exec $(CURDIR)/$(BIN)/tidemill replay $(abspath $(DATA)) --task arxiv \
		--text-column title --time-column created --train-before $(FROM) --until $(UNTIL) \
		--seed $(SEED) --html $(CURDIR)/replay.html

# A session's fixtures (Triton, PostgreSQL, trained models) are shared by the files of a worker.
PYTEST := $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test: $(INSTALLED_DEV) ## Run the unit, contract and integration tests
	@$(PYTEST) tests/contract tests/integration tests/unit

e2e: $(INSTALLED_DEV) ## Run the end-to-end tests: whole journeys on whole stacks
	@$(PYTEST) tests/e2e

check: $(INSTALLED_DEV) ## Check lint, types, imports, the contract and its generated code
	@echo "ruff check";         $(BIN)/ruff check
	@echo "ruff format";        $(BIN)/ruff format --check
	@echo "mypy";               $(BIN)/mypy
	@echo "import-linter";      $(BIN)/lint-imports
	@echo "proto: buf lint, generated code up to date"; $(BIN)/python proto/generate.py --check

bench: $(INSTALLED_DEV) ## Run all benchmarks: serving and its peers, memory, failures (2 hours)
	@status=0; for part in $(BENCHMARKS); do \
		echo "python -m $$part"; $(BIN)/python -m $$part || status=$$?; \
	done; exit $$status

proto: $(INSTALLED_DEV) ## Generate proto/gen from proto/tidemill
	@$(BIN)/python proto/generate.py

compose-check: ## Check the compose file, where docker compose is installed
	@if docker compose version >/dev/null 2>&1; then compose="docker compose"; \
	elif docker-compose version >/dev/null 2>&1; then compose="docker-compose"; \
	else echo "not checked: neither docker compose nor docker-compose is installed"; exit 0; fi; \
	export POSTGRES_PASSWORD=check TIDEMILL_TRITON__CONTROL_KEY=check; \
	$$compose config -q; \
	for more in gpu s3; do $$compose -f docker-compose.yml -f docker-compose.$$more.yml config -q; done; \
	echo "docker-compose.yml is valid, alone and with docker-compose.gpu.yml and docker-compose.s3.yml"

compose-test: $(INSTALLED_DEV) ## Run the stack in containers: break it, upgrade it, remove it
	@$(BIN)/python -m deploy.compose_test

$(BIN)/helm: deploy/helm/fetch_helm.py | $(INSTALLED_DEV)
	@echo "Installing Helm into .venv"; $(BIN)/python $< $@

helm-check: $(BIN)/helm ## Check the Helm chart against the schemas of Kubernetes
	@$(BIN)/helm lint --quiet deploy/helm/tidemill --set-file settings=tidemill.toml
	@$(BIN)/python -m pytest -q tests/unit/deploy/test_helm.py

clean: ## Remove .venv and caches, but not var/ or the models
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@for python in python3.11 python3.12 python3.13 python3; do \
		if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then \
			echo "Creating .venv with $$("$$python" --version)"; exec "$$python" -m venv .venv; \
		fi; \
	done; \
	echo "Tidemill needs Python 3.11, 3.12 or 3.13; none is on the PATH: install one" >&2; exit 1

$(INSTALLED): $(SOURCES) | $(BIN)/python
	$(call install,all)

$(INSTALLED_DEV): $(SOURCES) | $(BIN)/python
	$(call install,all,dev)
	@touch $(INSTALLED)

# Show pip's progress in one line of a terminal; pip's whole output is in the log.
define install
@echo "Installing Tidemill [$(1)$(if $(2),$(comma)$(2))]: the first time takes minutes and 3 GB"; \
tty=0; if [ -t 1 ]; then tty=1; fi; \
if ! $(PIP_ENVIRONMENT) $(BIN)/python -m pip install --progress-bar off --editable '.[$(1)$(if $(2),$(comma)$(2))]' 2>&1 \
	| tee $(INSTALL_LOG) | awk -v tty=$$tty ' \
		!tty { next } \
		/^Collecting / { printf "\r\033[K  package %d: %s", ++count, $$2; fflush() } \
		/^Installing collected/ { printf "\r\033[K  unpacking %d packages", count; fflush() } \
		END { if (tty) printf "\r\033[K" }'; then \
	tail -n 20 $(INSTALL_LOG) >&2; echo "Installation failed; the whole output is in $(INSTALL_LOG)" >&2; exit 1; \
fi; \
touch $@; echo "Installed in $$SECONDS s"
endef
comma := ,
