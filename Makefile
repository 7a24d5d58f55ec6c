# Kijabi: every target sets up what it needs. `make help` lists them.
DATA_DIR ?= /var/lib/kijabi
PORT ?= 6443
NODES ?= 1
SEEDS ?= 1-1000
VENV ?= .venv
PYTHON := $(VENV)/bin/python
# A run of the tests is one history: the order of sets of strings is the same each time.
PYTEST := PYTHONHASHSEED=0 $(PYTHON) -m pytest
KIJABI := $(VENV)/bin/kijabi
SYSTEM := $(VENV)/.system
READY := $(VENV)/.ready
DEV := $(VENV)/.dev

.DEFAULT_GOAL := help
.PHONY: help up down status test check unit e2e clients sim images bench clean conformance conformance-failed conformance-ci

help: ## List the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Variables: DATA_DIR=$(DATA_DIR) PORT=$(PORT) NODES=$(NODES) SEEDS=$(SEEDS); down takes PURGE=1"

up: compiled $(SYSTEM) ## Set up this machine and start a cluster in the background
	@$(KIJABI) up --data-dir $(DATA_DIR) --port $(PORT) --nodes $(NODES)

down: $(READY) ## Stop the cluster and leave nothing behind (PURGE=1: delete its data too)
	@$(KIJABI) down --data-dir $(DATA_DIR) $(if $(PURGE),--purge)

status: $(READY) ## Show components, nodes and what is unhealthy
	@$(KIJABI) status --data-dir $(DATA_DIR)

images: $(READY) $(SYSTEM) ## Build busybox, nginx, redis and python images from Debian packages; import them
	@$(PYTHON) -m kijabi.testing.images build
	@if [ -S $(DATA_DIR)/run/control.sock ]; then $(PYTHON) -m kijabi.testing.images import --data-dir $(DATA_DIR); fi

test: $(DEV) $(SYSTEM) ## Set up and run the whole test suite, end-to-end tests on real containers included
	@$(PYTHON) -m kijabi.testing.images build
	$(PYTEST) tests -m "not built"

unit: $(DEV) ## Run the tests that need neither root nor containers
	$(PYTEST) tests -m "not e2e and not node and not clients and not built"

e2e: $(DEV) $(SYSTEM) ## Run only the tests that drive real containers
	@$(PYTHON) -m kijabi.testing.images build
	$(PYTEST) tests -m "e2e or node"

clients: $(DEV) $(SYSTEM) ## Run kubectl, Helm, Go, Python and JavaScript clients against a cluster (BUILT=1: those that are built)
	@$(PYTHON) -m kijabi.testing.images build
	$(PYTEST) tests/clients $(if $(BUILT),-m built)

upstream: $(DEV) $(SYSTEM) ## Run Kubernetes' own scheduler, controllers, proxy and kubelet against our API server
	@$(PYTHON) -m kijabi.testing.images build
	$(PYTEST) tests/upstream

check: $(DEV) ## ruff, mypy --strict, import-linter, and the tests of style and docs
	$(VENV)/bin/ruff check kijabi tests benchmarks
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PYTEST) tests/test_tidy.py tests/test_docs.py

sim: $(DEV) ## Run the deterministic simulation: SEEDS=A-B, or some with commas
	$(PYTHON) -m kijabi.testing.simulate --seeds $(SEEDS)

bench: $(DEV) $(SYSTEM) ## Measure speed and size (benchmarks/README.md keeps the results)
	$(PYTHON) -m benchmarks

CONFORMANCE = $(PYTHON) -m kijabi.testing.conformance
SELECTED = $(if $(FOCUS),--focus '$(FOCUS)') $(if $(SKIP),--skip '$(SKIP)') $(if $(SIG),--sig $(SIG)) $(if $(PROCS),--procs $(PROCS))

conformance: compiled $(SYSTEM) ## Run Kubernetes' conformance tests; FOCUS= SKIP= (regular expressions) SIG=node,apps PROCS=
	@$(CONFORMANCE) run $(SELECTED)

conformance-failed: compiled $(SYSTEM) ## Run again what failed the last time
	@$(CONFORMANCE) run --failed $(SELECTED)

conformance-ci: compiled $(SYSTEM) ## Run the part of the conformance tests that a change may not break (conformance/ci.txt)
	@$(CONFORMANCE) run --from conformance/ci.txt --expected $(SELECTED)

clean: ## Delete the virtual environment and caches
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# The interpreter itself is a link to a file that is older than any rule: what venv writes stands for it.
$(VENV)/pyvenv.cfg: scripts/python
	scripts/python $(VENV)

$(READY): $(VENV)/pyvenv.cfg pyproject.toml
	$(PYTHON) -m pip install -q --disable-pip-version-check -e .
	@touch $@

# Byte code made ahead: a process then starts 0.1 s sooner, also where PYTHONDONTWRITEBYTECODE is set.
.PHONY: compiled
compiled: $(READY)
	@$(PYTHON) -m compileall -q kijabi

$(DEV): $(READY)
	$(PYTHON) -m pip install -q --disable-pip-version-check -e '.[dev,clients]'
	@touch $@

$(SYSTEM): $(READY)
	@$(KIJABI) doctor --install
	@touch $@
