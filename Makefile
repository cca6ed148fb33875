# Two commands do everything: `make demo` and `make test`. Both install into .venv first.
PYTHON ?= python3
# The one place that pins torch: a CPU build. For CUDA: make demo TORCH='torch'
TORCH ?= torch==2.13.0

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: FORCE help install demo test test-fast check bench starter clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# dev.py decides: it does nothing while neither the requirements nor TORCH have changed.
FORCE:
$(STAMP): FORCE
	@$(PYTHON) dev.py install --torch '$(TORCH)'

install: $(STAMP) ## Install into .venv

demo: $(STAMP) ## Do the main job end to end and write demo-out/index.html
	@$(BIN)/agent-tools demo --out demo-out

test: $(STAMP) ## Run the whole test suite
	$(BIN)/python -m pytest

test-fast: $(STAMP) ## Run the suite without the slow lane
	$(BIN)/python -m pytest -m 'not slow'

check: $(STAMP) ## Lint, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP) ## Side-by-side benchmarks
	$(BIN)/python -m benchmarks

starter: $(STAMP) ## Make the starter model from nothing (five hours on two cores; resumes)
	$(BIN)/python -m engine.starter.train --work starter-work
	$(BIN)/python -m engine.starter.evaluate

clean: ## Remove what the tools write (not your data directory)
	rm -rf $(VENV) demo-out build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
