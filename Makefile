# Two commands do everything: `make demo` and `make test`. Both install into .venv first.
PYTHON ?= python3
# The one place that pins torch: a CPU build. For CUDA: make demo TORCH='torch'
TORCH ?= torch==2.13.0

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-for-tests

.DEFAULT_GOAL := help
.PHONY: FORCE help install demo test test-fast test-browser test-s3 test-long test-openai conformance check bench bench-engine bench-kb bench-recolor starter clean

help: ## Show the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# dev.py decides: it does nothing while neither the requirements nor TORCH have changed.
FORCE:
$(STAMP): FORCE
	@$(PYTHON) dev.py install --torch '$(TORCH)'
$(TEST_STAMP): FORCE
	@$(PYTHON) dev.py install --tests --torch '$(TORCH)'

install: $(STAMP) ## Install into .venv

demo: $(STAMP) ## Do the main job end to end and write demo-out/index.html
	@$(BIN)/agent-tools demo --out demo-out

test: $(TEST_STAMP) ## Run the test suite, one worker for each core
	$(BIN)/python -m pytest -n auto --dist loadfile

test-fast: $(TEST_STAMP) ## Run the suite without the slow lane
	$(BIN)/python -m pytest -n auto --dist loadfile -m 'not slow and not long and not conformance and not browser'

test-browser: $(TEST_STAMP) ## Click through gallery and MCP App in Chromium (needs chromium and npm)
	$(BIN)/python scripts/app_bridge
	$(BIN)/python -m pytest -m browser

test-s3: $(TEST_STAMP) ## S3 tests on a real Ceph gateway (downloads 70 MB of Debian packages once)
	$(BIN)/python scripts/radosgw fetch
	$(BIN)/python -m pytest -m radosgw

test-long: $(TEST_STAMP) ## The tests that take minutes each
	$(BIN)/python -m pytest -m long

test-openai: $(TEST_STAMP) ## The Images API through OpenAI's own client, and as our own remote engine
	$(BIN)/python -m pytest tests/images_api

conformance: $(TEST_STAMP) ## MCP's conformance suite and the Inspector (fetches node and both from npm once)
	$(BIN)/python scripts/conformance run

check: $(TEST_STAMP) ## Lint, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(TEST_STAMP) ## Side-by-side benchmarks
	$(BIN)/python -m benchmarks

bench-engine: $(TEST_STAMP) ## The engine beside plain diffusers: mixed load, throughput (twelve minutes)
	$(BIN)/python -m benchmarks mixed_load throughput

bench-kb: $(TEST_STAMP) ## Are pictures found again by other words? (three minutes)
	$(BIN)/python -m benchmarks kb_eval

bench-recolor: $(TEST_STAMP) ## Recolored products beside their true renders (half a minute)
	$(BIN)/python -m benchmarks recolor

starter: $(STAMP) ## Make the starter model from nothing (five hours on two cores; resumes)
	$(BIN)/python -m engine.starter.train --work starter-work
	$(BIN)/python -m engine.starter.evaluate

clean: ## Remove what the tools write (not your data directory)
	rm -rf $(VENV) demo-out build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
