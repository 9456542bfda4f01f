# Staffetta: everything one does with a checkout. `make` alone explains itself.
#
# Needs python3 >= 3.11 and make. What is installed goes into $(VENV); what the service keeps goes
# into var/. Nothing else of the machine is touched, but for Debian's packages where root allows.

PYTHON ?= python3
VENV ?= .venv
PY = $(VENV)/bin/python
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check bench drill format lock clean

help:  ## Say what can be made
	@echo 'Staffetta: a mail provider that keeps accepting mail while its mailbox store is down.'
	@echo
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | \
	  while IFS='	' read -r name what; do printf '  make %-8s %s\n' "$$name" "$$what"; done
	@echo
	@echo '  ARGS="…" is passed on, e.g.: make demo ARGS="--port-base 9000 --lang it"'
	@echo '                                make test ARGS="tests/unit -k config"'

demo: $(VENV)/.service  ## Set up, and run a two-brand mail service here (Ctrl-C ends it)
	@exec $(VENV)/bin/staffetta demo $(ARGS)

test: export TMPDIR = $(CURDIR)/var/tmp
test: $(VENV)/.development  ## Set up what the tests need, and run them all
	@scripts/peers.sh
	@mkdir -p "$$TMPDIR"
ifeq ($(ARGS),)
	$(VENV)/bin/pytest -n 2 --dist loadfile -rs -m 'not service and not interop'
	$(VENV)/bin/pytest -rs -m 'service or interop'
else
	$(VENV)/bin/pytest -rs $(ARGS)
endif

check: $(VENV)/.development  ## Style, types, storeys, lengths, documents
	$(VENV)/bin/ruff check src tests benchmarks drills
	$(VENV)/bin/ruff format --check src tests benchmarks drills
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo
	$(VENV)/bin/pytest tests/tidy

bench: $(VENV)/.development  ## Measure beside Postfix and Dovecot; writes benchmarks/results
	@exec $(PY) -m benchmarks $(ARGS)

drill: $(VENV)/.development  ## Break a real installation on purpose, and report
	@exec $(PY) -m drills $(ARGS)

format: $(VENV)/.development  ## Put the source into its usual form
	$(VENV)/bin/ruff check --fix-only --quiet src tests benchmarks drills
	$(VENV)/bin/ruff format src tests benchmarks drills

lock: $(VENV)/.development  ## Write the installed versions into requirements/
	$(PY) requirements/lock.py

clean:  ## Remove the environment and caches; keeps what the service keeps (var/)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.service: requirements/service.txt requirements/build.txt pyproject.toml
	@PYTHON='$(PYTHON)' scripts/environment.sh '$(VENV)' service
	@touch $@

$(VENV)/.development: $(VENV)/.service requirements/development.txt
	@PYTHON='$(PYTHON)' scripts/environment.sh '$(VENV)' development
	@touch $@
