# make            environment and the default study
# make help       the rest
.DEFAULT_GOAL := study
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
CORES ?= all
UV := 0.13.9
STUDY ?= config.yaml
export STUDY # recipes read it from the environment, so that its name may have any character
# The environment is complete if this file is there. It is named by the contents of what it was made from: modification times
# say nothing of it after a checkout, in a copy, or in a worktree that shares the environment.
READY := .venv/ready-$(shell cat envs/requirements.lock envs/requirements-torch.txt | sha256sum | cut -c -12)
# If it is set, as in many containers, the many short processes here spend more time compiling than working.
unexport PYTHONDONTWRITEBYTECODE
SNAKEMAKE = $(BIN)/snakemake --cores $(CORES) --config "study=$$STUDY"
# With -m the code of this folder runs, even if the environment is shared with other clones.
FAIRSHRINK = $(BIN)/python -m fairshrink

.PHONY: study env plan explain partial report share verify gc test test-slurm unit lint lint-python lint-rules format bench mutations docs lock dag clean help

study: env ## environment and the study (STUDY=configs/paper.yaml for another); ends with results/report.html
	@$(SNAKEMAKE)
	@$(FAIRSHRINK) report --study "$$STUDY" --path

plan: env ## what a run would do: jobs and artifacts of each stage
	@$(FAIRSHRINK) plan --study "$$STUDY"

explain: env ## what a run would restore and compute, why, and how long it will take
	@$(FAIRSHRINK) explain --study "$$STUDY"

partial: env ## after failures: make what can be made, then tables of what exists, holes named, in results/<study>/partial/
	@$(SNAKEMAKE) --keep-going || $(SNAKEMAKE) --keep-going || true
	@$(FAIRSHRINK) partial --study "$$STUDY"

report: study ## headline numbers; results/workflow.html, how each final file was made (Snakemake's own report)
	@$(SNAKEMAKE) --report results/workflow.html
	@$(FAIRSHRINK) report --study "$$STUDY"

share: env ## upload what is missing in DVC's default remote (docs/sharing.md)
	@$(FAIRSHRINK) share --study "$$STUDY"

verify: env ## compare every artifact with its record and pointer; quarantine what is damaged
	@$(FAIRSHRINK) verify

gc: env ## list, ask, then remove what no study of any branch or tag needs
	@$(FAIRSHRINK) gc

env: .venv/installed ## the environment alone: what the lock file names, and the command `fairshrink`

$(READY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12"; exit 1; }
	@rm -f .venv/ready*
	@$(PYTHON) -m venv .venv || { echo "Python's venv module is missing: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r envs/requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH_OPTIONS) -r envs/requirements-torch.txt
	$(BIN)/python -c 'import dvc.repo, snakemake.cli, transformers' # it works, and its byte code is there before jobs need it
	@touch $@

# Editable and without dependencies, which the lock file has installed; nothing is downloaded.
.venv/installed: $(READY) pyproject.toml
	$(BIN)/uv pip install --quiet --offline --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

test: env lint unit ## all checks: unit tests, a tiny study through Snakemake and DVC, lint

unit: env
	$(BIN)/python -m pytest --numprocesses auto --dist loadscope --no-loadscope-reorder

test-slurm: env ## the study through a real Slurm, installed and started on this machine (root, Debian)
	$(BIN)/python -m pytest tests/slurm/test_slurm.py

lint: lint-python lint-rules ## style of Python and of the rules; code that keys could not follow

lint-python: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m fairshrink.planning.unfollowed
	$(BIN)/python -m fairshrink.planning.contracts_held

lint-rules: env
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

format: env ## fix the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

bench: env ## planning of large studies; items per second of each metric, batched against one at a time
	$(BIN)/python benchmarks/planning.py
	$(BIN)/python benchmarks/metrics.py

mutations: env ## random edits of the code, hundreds: do they change keys where scores change? (hours); and of a study, thousands
	$(BIN)/python benchmarks/mutations.py
	PYTHONPATH=.:tests/helpers $(BIN)/python benchmarks/mutated_studies.py --edits 2000

docs: env ## the generated pages of docs/, and the site, strictly, into site/
	$(FAIRSHRINK) docs
	$(BIN)/mkdocs build --quiet --strict

dag: env ## results/dag.svg: the graph of all jobs of the study (needs graphviz)
	@$(BIN)/snakemake --config "study=$$STUDY" full=true --rulegraph | dot -Tsvg > results/dag.svg

lock: env ## new versions into the lock file
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes envs/requirements.in -o envs/requirements.lock

clean: ## remove tables, figures, logs; keyed artifacts stay
	rm -rf results/tables results/figures results/report.html results/workflow.html results/*/tables results/*/figures results/*/report.html results/*/partial logs

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18
