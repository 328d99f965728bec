# make            environment and the default study
# make help       the rest
.DEFAULT_GOAL := study
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
CORES ?= all
UV := 0.13.9
STUDY ?= config.yaml
# Where it is set, as in many containers, each of the short processes here would spend more time compiling than working.
unexport PYTHONDONTWRITEBYTECODE
SNAKEMAKE = $(BIN)/snakemake --cores $(CORES) --config study=$(STUDY)

.PHONY: study env plan explain report share verify gc test test-slurm unit lint format bench docs lock dag clean help

study: env ## environment and the study (STUDY=configs/paper.yaml for another)
	@$(SNAKEMAKE)

plan: env ## what a run would do
	@$(SNAKEMAKE) -n

explain: env ## what a run would restore and compute, why, and how long it will take
	@$(BIN)/python scripts/explain.py --study $(STUDY)

report: study ## results/report.html: one self-contained page
	@$(SNAKEMAKE) --report results/report.html

share: env ## what others do not have yet, to DVC's default remote (docs/sharing.md)
	@$(BIN)/python scripts/share.py --study $(STUDY)

verify: env ## compare every artifact with its record and pointer; put aside what is damaged
	@$(BIN)/python scripts/verify.py

gc: env ## list, ask, then remove what no study of any branch or tag needs
	@$(BIN)/python scripts/gc.py

env: .venv/ready ## the environment alone, from the lock file

.venv/ready: envs/requirements.lock envs/requirements-torch.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "Python's venv module is missing: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r envs/requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH_OPTIONS) -r envs/requirements-torch.txt
	$(BIN)/python -c 'import dvc.repo, snakemake.cli, transformers' # it works, and its byte code is there before jobs need it
	@touch $@

test: env lint unit ## all checks: unit tests, a tiny study through Snakemake and DVC, lint

unit: env
	$(BIN)/python -m pytest --numprocesses auto --dist loadscope --durations 10

test-slurm: env ## the study through a real Slurm, installed and started on this machine (root, Debian)
	$(BIN)/python -m pytest tests/slurm/test_slurm.py

lint: env ## style of Python and of the rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m fairshrink.planning.unfollowed
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

format: env ## put the style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

bench: env ## planning of large studies; items per second of each metric, batched against one at a time
	$(BIN)/python benchmarks/planning.py
	$(BIN)/python benchmarks/metrics.py

docs: env ## the generated pages of docs/, and the site, strictly, into site/
	$(BIN)/python scripts/docs.py
	$(BIN)/mkdocs build --quiet --strict

dag: env ## results/dag.svg: the graph of all jobs of the study (needs graphviz)
	@$(BIN)/snakemake --config study=$(STUDY) full=true --rulegraph | dot -Tsvg > results/dag.svg

lock: env ## new versions into the lock file
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes envs/requirements.in -o envs/requirements.lock

clean: ## remove tables, figures, logs; keyed artifacts stay
	rm -rf results/tables results/figures results/report.html logs

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18
