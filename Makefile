# Each target sets up .venv first if it is not there. Inside the environment the plain commands do the same.

PYTHON ?= python3
IN = .venv/bin/python -m
SNAKEMAKE = $(IN) snakemake --cores $(or $(CORES),all)
# Of the studies, what has been made of published runs as well as what has been made here.
PUBLISHED = --config published=true
REPORT = $(IN) snakemake --report results/report.html reported $(PUBLISHED)

# What runs is what requirements.txt says, in .venv, whatever the surroundings say of Python and pip. And Python has to
# be able to read the name of this folder, which by LC_ALL=C it cannot.
export PIP_USER := 0
unexport LC_ALL PIP_PREFIX PIP_ROOT PIP_TARGET PYTHONHOME PYTHONPATH

# In a container there may be no name for the user and no home, or none that can be written. Snakemake needs both.
export LOGNAME := $(or $(LOGNAME),$(USER),$(firstword $(shell id -un 2>/dev/null || id -u)))
export HOME := $(or $(HOME),$(CURDIR)/.snakemake)
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)
ifeq ($(shell mkdir -p "$(CACHE)" 2>/dev/null && test -w "$(CACHE)" && echo writable),)
export XDG_CACHE_HOME := $(CURDIR)/.snakemake/cache
endif

# An environment that was copied or moved, or whose Python is gone, is made anew: it would run another folder's code.
INSTALLED := $(shell LC_ALL= .venv/bin/python -Ic 'import feature_collapse; print(*feature_collapse.__path__)' 2>/dev/null)
ifneq ($(INSTALLED),$(CURDIR)/src/feature_collapse)
ANEW := --clear
.PHONY: .venv/ready
endif

all: .venv/ready ## every figure and table of the paper, at full size, and the report
	@$(IN) feature_collapse plan
	$(SNAKEMAKE)
	@$(REPORT)
	@$(IN) feature_collapse verify --scale ''

quick: .venv/ready ## the same at K = 200, in minutes
	@$(IN) feature_collapse plan --scale quick
	$(SNAKEMAKE) quick
	@$(IN) feature_collapse verify --scale quick

smoke: .venv/ready ## every rule at toy size
	$(SNAKEMAKE) smoke

verify: .venv/ready ## are the runs in results/ those that are published?
	@$(IN) feature_collapse verify

publish: .venv/ready ## add the finished runs in results/ to the published ones in docs/
	@$(IN) feature_collapse publish

from-published: .venv/ready ## tables and figures of the studies from published runs, without training
	$(SNAKEMAKE) from_published --allowed-rules from_published study study_figure $(PUBLISHED)

adopt: .venv/ready ## keep the runs in a results/ that was copied here, as far as they are the published ones
	@$(IN) feature_collapse adopt

test: .venv/ready ## the tests
	$(IN) pytest -n 2 $(strip $(TESTS))

lint: .venv/ready ## format, lint and the direction of imports, as CI does
	$(IN) ruff check . && $(IN) ruff format --check . && $(IN) snakefmt --check Snakefile rules/*.smk && $(IN) snakemake --lint
	.venv/bin/lint-imports

types: .venv/ready ## types, in strict mode
	$(IN) mypy

torture: .venv/ready ## kill, starve and corrupt the toy workflow, and see whether a rerun mends it: results/torture.md
	.venv/bin/python tests/torture.py

determinism: .venv/ready ## the toy workflow on other threads, cores, order, folder: results/determinism.md
	.venv/bin/python tests/determinism.py

cluster: .venv/ready ## the toy workflow through a Slurm of one node, as root; tests/slurm/cluster.py installs it
	$(IN) pytest tests/slurm

bench: .venv/ready ## the cost of a training step, on an idle machine
	@.venv/bin/python benchmarks/step.py

scale: .venv/ready ## docs/scale.md, from costs that have been measured
	@.venv/bin/python benchmarks/scale.py

report: .venv/ready ## all that has been made in one page, results/report.html
	$(REPORT)

docs: .venv/ready docs/rulegraph.svg ## refresh the pictures and tables that the README shows, from a full run
	@$(SNAKEMAKE) all $(PUBLISHED) && summary=$$($(IN) snakemake --detailed-summary reported $(PUBLISHED)) && \
		echo "$$summary" | $(IN) feature_collapse docs -

docs/rulegraph.svg: Snakefile $(wildcard rules/*.smk) .venv/ready ## how the rules depend on each other (needs graphviz)
	@graph=$$($(IN) snakemake --rulegraph dot -- all) && echo "$$graph" | dot -Tsvg -o $@

crate: .venv/ready ## the finished workflow as one archive, results/feature-collapse.crate.zip
	$(SNAKEMAKE) results/feature-collapse.crate.zip

lock: ## choose new versions of everything for requirements.txt
	rm -rf .lock && $(PYTHON) -m venv .lock && .lock/bin/python -m pip install -q ".[dev]"
	{ sed -n '/^#/p' requirements.txt; .lock/bin/python -m pip freeze --exclude feature_collapse | sed 's/+cpu$$//'; echo "-e ."; } > .lock/new
	mv .lock/new requirements.txt && rm -rf .lock

.venv/ready: requirements.txt pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed; name one with make PYTHON=...')"
	@test ! -L .venv || rm .venv # what is linked here belongs to another folder
	$(PYTHON) -m venv $(ANEW) .venv
	$(IN) pip install -q --disable-pip-version-check -r requirements.txt
	touch $@

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

.PHONY: all quick smoke verify publish from-published adopt test lint types torture determinism cluster bench scale report docs crate lock help
