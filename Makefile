# Each target sets up .venv first if it is not there. Inside the environment the plain commands do the same.

PYTHON ?= python3
CORES ?= all
SNAKEMAKE = . .venv/bin/activate && snakemake --cores $(CORES)
REPORT = . .venv/bin/activate && snakemake --report results/report.html reported

all: .venv/ready ## every figure and table of the paper, at full size, and the report
	@. .venv/bin/activate && python -m feature_collapse plan
	$(SNAKEMAKE)
	@$(REPORT)

quick: .venv/ready ## the same at K = 200, in minutes
	@. .venv/bin/activate && python -m feature_collapse plan --scale quick
	$(SNAKEMAKE) quick

smoke: .venv/ready ## every rule at toy size
	$(SNAKEMAKE) smoke

test: .venv/ready ## the tests
	. .venv/bin/activate && pytest -n 2

lint: .venv/ready ## format and lint, as CI does
	. .venv/bin/activate && ruff check . && ruff format --check . && snakefmt --check Snakefile && snakemake --lint

torture: .venv/ready ## kill, starve and corrupt the toy workflow, and see whether a rerun mends it: results/torture.md
	. .venv/bin/activate && python tests/torture.py

determinism: .venv/ready ## the toy workflow on other threads, cores, order, folder: results/determinism.md
	. .venv/bin/activate && python tests/determinism.py

cluster: .venv/ready ## the toy workflow through a Slurm of one node, as root; tests/slurm/cluster.py installs it
	. .venv/bin/activate && pytest tests/slurm

bench: .venv/ready ## the cost of a training step, on an idle machine
	@. .venv/bin/activate && python -m feature_collapse bench

scale: .venv/ready ## docs/scale.md, from costs that have been measured
	@. .venv/bin/activate && python -m feature_collapse scale

report: .venv/ready ## all that has been made in one page, results/report.html
	$(REPORT)

docs: .venv/ready docs/rulegraph.svg ## refresh the pictures and tables that the README shows, from a full run
	@. .venv/bin/activate && snakemake --cores $(CORES) && summary=$$(snakemake --detailed-summary reported) && \
		echo "$$summary" | python -m feature_collapse docs -

docs/rulegraph.svg: Snakefile .venv/ready ## how the rules depend on each other (needs graphviz)
	@. .venv/bin/activate && graph=$$(snakemake --rulegraph dot -- all) && echo "$$graph" | dot -Tsvg -o $@

crate: .venv/ready ## the finished workflow as one archive, results/feature-collapse.crate.zip
	$(SNAKEMAKE) results/feature-collapse.crate.zip

lock: ## choose new versions of everything for requirements.txt
	rm -rf .lock && $(PYTHON) -m venv .lock && .lock/bin/pip install -q ".[dev]"
	{ sed -n '/^#/p' requirements.txt; .lock/bin/pip freeze --exclude feature_collapse | sed 's/+cpu$$//'; echo "-e ."; } > .lock/new
	mv .lock/new requirements.txt && rm -rf .lock

.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed; name one with make PYTHON=...')"
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q --disable-pip-version-check -r requirements.txt
	touch $@

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

.PHONY: all quick smoke test lint torture determinism cluster bench scale report docs crate lock help
