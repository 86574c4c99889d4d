# Two commands: `make demo` shows Clarion, `make test` proves it. `make help` lists the rest.

.DEFAULT_GOAL := help
.ONESHELL:
.SILENT:
MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

# The first Python that is new enough; PYTHON=… chooses another.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	&& echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: help env frontend messages demo test check bench pictures faultlab plugin lock

help: ## list what can be made
	awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

env: $(STAMP) ## make the environment in .venv from the lock file

$(STAMP): requirements.lock pyproject.toml dev/environment.py
	if [ -z "$(PYTHON)" ]; then echo "Clarion needs Python 3.11 or newer on the PATH." >&2; exit 1; fi
	$(PYTHON) dev/environment.py $(VENV) >&2

frontend: $(STAMP) ## build the front end and the catalogues when their sources have changed
	$(BIN)/python dev/frontend.py >&2
	$(BIN)/python dev/messages.py --compile >&2

messages: $(STAMP) ## bring the catalogues of all languages up to date, and list what to translate
	exec $(BIN)/python dev/messages.py

demo: frontend ## show Clarion on this machine; FRESH=1 begins anew, CHECK=1 runs the whole job once and prints JSON
	exec $(BIN)/clarion demo $(if $(FRESH),--fresh) $(if $(CHECK),--check) $(ARGS)

test: frontend ## run the whole suite; ARGS="…" goes to pytest, CHECKED=1 leaves out what check ran
	$(BIN)/python dev/browser.py >&2
	if [ -n '$(subst ','\'',$(ARGS))' ]; then exec $(BIN)/python -m pytest $(ARGS); fi
	# three parts side by side, each with servers of its own: most of the time they wait
	said=$$(mktemp -d) result=0
	$(BIN)/python -m pytest -m "browser or faults" > $$said/1 2>&1 & slow=$$!
	$(BIN)/python -m pytest -m "not browser and not faults" plugins > $$said/2 2>&1 & plugins=$$!
	$(BIN)/python -m pytest -m "not browser and not faults" tests \
		$(if $(CHECKED),--ignore=tests/architecture) || result=$$?
	wait $$plugins || result=$$?
	wait $$slow || result=$$?
	cat $$said/2 $$said/1; rm -rf $$said; exit $$result

check: frontend ## lint, types, import contracts, architecture
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	# on the core that the tests leave: types and contracts
	other=$$(mktemp) result=0
	($(BIN)/mypy && $(BIN)/lint-imports) > $$other 2>&1 & types=$$!
	$(BIN)/python -m pytest -q tests/architecture || result=$$?
	wait $$types || result=$$?
	cat $$other; rm -f $$other; exit $$result

bench: frontend ## measure the promised figures; NAME=… takes one
	exec $(BIN)/python bench/__main__.py $(NAME)

pictures: frontend ## take the pictures of README and tutorials anew; needs Chromium
	exec $(BIN)/python dev/pictures.py

faultlab: $(STAMP) ## kill everything for a long while, restore a backup in the middle; MESSAGES=… KILLS=… SEED=…
	exec $(BIN)/python tests/faultlab/storm.py --messages $(or $(MESSAGES),100000) \
		--kills $(or $(KILLS),500) $(if $(SEED),--seed $(SEED))

plugin: $(STAMP) ## make a new plugin, a copy of the example: name=…
	if [ -z "$(name)" ]; then echo "Say which: make plugin name=reminders" >&2; exit 1; fi
	$(BIN)/clarion plugin new $(name)
	$(PYTHON) dev/environment.py $(VENV) --again >&2

lock: $(STAMP) ## write requirements.lock anew from pyproject.toml (needs pip-tools)
	$(BIN)/pip-compile --quiet --all-extras --generate-hashes --no-emit-index-url \
		--no-emit-trusted-host --no-emit-options --no-header --no-annotate --strip-extras \
		--allow-unsafe pyproject.toml dev/lock.in --output-file requirements.lock
	sed -i '1i # What `make` installs, exactly. Made by `make lock`; any package index will do.' requirements.lock
