# The whole interface of the project. Every target sets up what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CLIENTS := .venv-nonebot/.ready .venv-botpy/.ready
HERMES := .venv-hermes-old/.ready .venv-hermes-new/.ready
PIN := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links \
  --no-emit-trusted-host

.PHONY: run test test-hermes hermes-table hermes-plugin world chaos fuzz adversity check format bench docs screenshots tools lock clean demo

run: $(READY)  ## the gateway on QQ, or (without credentials) a demonstration against the simulated QQ
	@if [ -n "$$QQ_APP_ID$$QQBOT_APP_ID" ] || [ -f buoy.toml ]; then exec $(BIN)/buoy run; else exec $(BIN)/buoy demo; fi

test: $(READY) $(CLIENTS) tools  ## all tests but the long ones, TEST_WORKERS (2) files at a time: half of them wait for real clocks
	$(BIN)/python -W error -m pytest -n $${TEST_WORKERS:-2} --dist loadfile
	@echo "deselected: what takes long. All of it, in about ten minutes: make chaos"

test-hermes: hermes-plugin  ## the plugin in real gateways of Hermes Agent, oldest and newest supported, with shorter outages
	$(BIN)/python -W error -m tests.hermes

hermes-table: hermes-plugin  ## the same with full outages, beside Hermes' builtin adapter, into docs/; about half an hour
	$(BIN)/python -W error -m tests.hermes --table

hermes-plugin: $(READY) $(HERMES)  ## today's Buoy, as a wheel, into the environments of Hermes Agent
	@rm -rf .venv-hermes-new/wheel
	@$(BIN)/python -m hatchling build --target wheel --directory .venv-hermes-new/wheel >/dev/null
	@for v in old new; do .venv-hermes-$$v/bin/pip install --quiet --disable-pip-version-check --no-index --no-deps --force-reinstall \
	  .venv-hermes-new/wheel/*.whl && .venv-hermes-$$v/bin/pip check || exit 1; done

world: $(READY)  ## worlds that nobody has seen for WORLD_SECONDS (60), then all planted bugs; see docs/resilience.md
	$(BIN)/python -m tests.world --seconds $${WORLD_SECONDS:-60}
	$(BIN)/python -m tests.world --bugs

chaos: $(READY)  ## real processes through every fault, the long ones too; mounting disks needs root
	$(BIN)/python -W error -m pytest -m "" --durations=0 --durations-min=1 tests/system/test_proxy.py tests/system/test_chaos_*.py

adversity: $(READY)  ## two bad weeks of the world, recorded, judged and drawn: docs/images/adversity.*
	$(BIN)/python -m tests.world.adversity

check: $(READY)  ## ruff and mypy, strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)  ## figures, not tests; see docs/benchmarks.md
	$(BIN)/python -m benchmarks.run

fuzz: $(READY)  ## odd inputs from random seeds for FUZZ_SECONDS (600); see tests/fuzz/run.py
	$(BIN)/python -W error -m tests.fuzz.run

docs: $(READY)  ## what is generated in docs/resilience*.md and docs/operations*.md; with BUOY_MEASURED=FILE from a new recording of make chaos
	$(BIN)/python -m tests.resilience
	$(BIN)/python -m tests.operations

screenshots: $(READY) tools  ## docs/images/page.*.png anew, from what the tests of the page run on
	$(BIN)/python -m tests.page.screenshots

tools:  ## Chromium, Chinese letters and systemd-analyze for tests, where one is missing and apt may install them
	@if ! { command -v chromium && command -v systemd-analyze; } >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk systemd >/dev/null; fi

lock: $(READY)  ## dependencies anew, with hashes
	$(BIN)/pip install --quiet pip-tools
	$(PIN) --extra acp --extra alerts --extra openai --extra speed --output-file requirements/dev.lock pyproject.toml requirements/dev.in
	$(PIN) --extra acp --extra alerts --extra openai --extra speed --constraint requirements/dev.lock --output-file requirements/image.lock pyproject.toml
	$(PIN) --constraint requirements/dev.lock --output-file requirements/build.lock requirements/build.in
	$(PIN) --output-file requirements/nonebot.lock requirements/nonebot.in
	$(PIN) --output-file requirements/botpy.lock requirements/botpy.in
	$(PIN) --output-file requirements/hermes-old.lock pyproject.toml requirements/hermes-old.in
	$(PIN) --output-file requirements/hermes-new.lock pyproject.toml requirements/hermes-new.in

$(READY): requirements/dev.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

.venv-%/.ready: requirements/%.lock  # other people's clients, for tests/conformance, each in an environment of its own
	@test -x .venv-$*/bin/python || $(PYTHON) -m venv .venv-$*
	.venv-$*/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

clean:
	rm -rf .venv* .mypy_cache .ruff_cache .pytest_cache .hypothesis
