# The commands of this repository. Each sets up what it needs; behind each is one line to type.
PYTHON ?= python3
BASE ?= HEAD
PORT ?= 8000
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DVC_NO_ANALYTICS := 1

.DEFAULT_GOAL := help
.PHONY: help run test lint review ci serve image smoke monitor retrain loop remote bench lock clean

help: ## List the commands
	@grep -E '^[a-z]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

run: .venv/run ## Reproduce the pipeline and print its review against the last commit
	python -m mlops.params
	python -m mlops.recover
	dvc repro --no-run-cache
	python -m mlops.review --base $(BASE) || test $$? -eq 1

test: .venv/test lint ## Run the tests (SLOW=1: also those of over a minute)
	python -m pytest -n auto --dist loadfile $(if $(SLOW),,-m "not slow") $(TESTS)

lint: .venv/test ## Check format, style and types
	ruff format --check .
	ruff check .
	mypy

review: .venv/run ## Compare the work tree with BASE: metrics, parameters, the gate
	python -m mlops.review --base $(BASE)

ci: .venv/test ## Run the pull request's workflows here, by act, against BASE
	python tests/ci.py $(BASE)

serve: .venv/run ## Serve the work tree's model on 127.0.0.1 (PORT=8000)
	python -m mlops.recover
	dvc repro --quiet --no-run-cache
	OMP_NUM_THREADS=1 SERVE_PORT=$(PORT) SERVE_GIT_COMMIT=$$(git rev-parse HEAD) \
	  python -m mlops.serving

monitor: .venv/run ## Hold the log at PREDICTION_LOG_URL against the work tree's model
	python -m mlops.recover
	dvc repro --quiet --no-run-cache
	python -m mlops.monitoring

retrain: .venv/run ## Take in newer data and feedback, retrain, review (RETRAIN=--force: in any case)
	python -m mlops.recover
	python -m mlops.monitoring.retrain $(RETRAIN)

loop: .venv/run ## Play the whole loop here: serve, drift, alarm, retrain, review, release
	python examples/loop.py

remote: .venv/remotes ## Keep data and models in DVC_REMOTE_URL: s3://, gs://, azure://, ssh://, https://
	python -m mlops.remote

image: .venv/run ## Build the serving image with docker, podman or buildah (mlops:latest)
	python -m mlops.recover
	dvc repro --quiet --no-run-cache
	python -m mlops.release.image $(IMAGE_OPTIONS)

smoke: image ## Build the image, run it without any rights, hold its answers against the evaluation
	python -m mlops.release.smoke mlops

bench: .venv/test ## Run the benchmarks
	python -m mlops.recover
	dvc repro --quiet --no-run-cache
	python benchmarks/pipeline.py
	python benchmarks/growth.py --into docs/scale.md
	python benchmarks/serving.py
	python benchmarks/workers.py
	python benchmarks/score.py
	python benchmarks/search.py
	python benchmarks/review.py
	python benchmarks/review_overhead.py
	python benchmarks/image.py
	python benchmarks/monitoring.py --windows 100 --out artifacts
	python benchmarks/monitoring_delay.py --seeds 10

COMPILE = uv pip compile -q --universal --generate-hashes --no-header --no-annotate
lock: .venv/run ## Resolve the requirements anew into the hash-locked files
	$(COMPILE) --upgrade \
	  --group dev --group serve pyproject.toml -o requirements-dev.txt
	$(COMPILE) \
	  -c requirements-dev.txt --group serve pyproject.toml -o requirements.txt
	$(COMPILE) --no-emit-package scipy \
	  -c requirements-dev.txt --group serve -o requirements-serve.txt
	$(COMPILE) \
	  -c requirements-dev.txt --group serve-joblib -o requirements-serve-joblib.txt
	$(COMPILE) \
	  -c requirements-dev.txt --group setup -o requirements-setup.txt
	$(COMPILE) \
	  -c requirements-dev.txt $(addprefix --extra ,s3 gs azure ssh) pyproject.toml -o requirements-remotes.txt
	$(COMPILE) \
	  -c requirements-dev.txt --extra dask pyproject.toml -o requirements-dask.txt

clean: ## Delete everything generated, the cache of data and models included
	rm -rf artifacts .venv .dvc/cache .dvc/tmp .dvc-remote

# uv installs in seconds what takes pip minutes; pip, which reads more of a machine's settings,
# takes over where uv can't reach the packages.
INSTALL = uv pip install -q --compile-bytecode --python .venv/bin/python --require-hashes -r $(1) \
  || python -m pip install -q --require-hashes -r $(1)

.venv/run: requirements.txt requirements-setup.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { $(PYTHON) --version; echo "wanted Python 3.11 or later: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv .venv \
	  || { echo "on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-setup.txt
	$(call INSTALL,requirements.txt)
	python -m pip install -q --no-deps --no-build-isolation -e .
	touch $@

.venv/test: .venv/run requirements-dev.txt
	$(call INSTALL,requirements-dev.txt)
	touch $@

# What real storage needs beside, for those who have one.
.venv/remotes: .venv/run requirements-remotes.txt
	$(call INSTALL,requirements-remotes.txt)
	touch $@

# What a search on a Dask cluster needs beside, here and on its workers.
.venv/dask: .venv/run requirements-dask.txt
	$(call INSTALL,requirements-dask.txt)
	touch $@
