# The commands of this repository. Each installs what it needs first.
PYTHON ?= python3
BASE ?= HEAD
MARKED ?= not slow
PORT ?= 8000
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
# Without a locale, Python can't open files in a folder with a name such as Jörgs.
export PYTHONUTF8 := 1
# If the user's cache folder is not writable, installers cache in the checkout.
CACHES := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)
ifneq ($(shell mkdir -p "$(CACHES)" 2> /dev/null && test -w "$(CACHES)" && echo kept),kept)
export XDG_CACHE_HOME := $(CURDIR)/.dvc/tmp/cache
export UV_CACHE_DIR := $(XDG_CACHE_HOME)/uv
export PIP_CACHE_DIR := $(XDG_CACHE_HOME)/pip
endif
# GNU make 3.81 of macOS runs simple commands without a shell, by its own PATH; with a SHELL other than
# /bin/sh, it runs all of them in that shell.
SHELL := $(shell command -v bash || echo /bin/sh)

# This checkout runs its own code. Settings that change the place or content of an installation are unset;
# settings of its source (indexes, certificates, proxies, caches) are kept.
export PIP_USER := 0
export PYTHONPATH := $(CURDIR)/engine:$(CURDIR)/src
unexport PYTHONHOME PYTHONOPTIMIZE PYTHONSTARTUP VIRTUAL_ENV CONDA_PREFIX
unexport PIP_TARGET PIP_PREFIX PIP_ROOT PIP_PYTHON PIP_CONSTRAINT PIP_REQUIREMENT PIP_NO_DEPS PIP_DRY_RUN
unexport PIP_NO_BINARY PIP_ONLY_BINARY PIP_IGNORE_INSTALLED
unexport UV_PYTHON UV_SYSTEM_PYTHON UV_BREAK_SYSTEM_PACKAGES UV_CONSTRAINT UV_BUILD_CONSTRAINT UV_OVERRIDE
unexport UV_NO_BINARY UV_NO_BUILD UV_PROJECT UV_WORKING_DIR
# In hooks, git sets variables that direct git and DVC elsewhere: see GIT_PLACES in engine/mlops/__init__.py.
unexport GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_COMMON_DIR GIT_PREFIX GIT_OBJECT_DIRECTORY
unexport GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_QUARANTINE_PATH GIT_SHALLOW_FILE GIT_GRAFT_FILE
unexport GIT_REPLACE_REF_BASE GIT_NAMESPACE GIT_CONFIG GIT_IMPLICIT_WORK_TREE
unexport GIT_LITERAL_PATHSPECS GIT_GLOB_PATHSPECS GIT_NOGLOB_PATHSPECS GIT_ICASE_PATHSPECS

.DEFAULT_GOAL := help
.PHONY: help run test test-engine test-edited-engine lint format review ci serve image smoke monitor replay-sample collect retrain loop remote upgrade github bench lock clean

help: ## List the commands
	@grep -E '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

run: .venv/run ## Reproduce the pipeline and print its review against the last commit
	python -m mlops.params
	python -m mlops.repair_dvc
	dvc repro --no-run-cache
	python -m mlops.review --base $(BASE) || test $$? -eq 1

test: lint ## Check format, style and types; run the project's tests on the pipeline's outputs
	python -m mlops.repair_dvc
	dvc repro --quiet --no-run-cache
	python -m pytest $(TESTS)

test-engine: .venv/dev lint ## Run the engine's tests (SLOW=1: also those of over a minute)
	@test -d engine/tests || { echo "The engine's tests are in the template: adoption removes them"; exit 1; }
	mypy engine/mlops
	cd engine/tests && python -m pytest -n auto --dist loadfile $(if $(SLOW),,-m "$(MARKED)") $(TESTS)

test-edited-engine: ## Run the engine's tests if engine/ or .github/ was edited here
	PYTHONPATH=engine $(PYTHON) -m mlops.integrity || ! test -d engine/tests || $(MAKE) test-engine

lint: .venv/test ## Check format, style and types
	@ruff format --check . && ruff check . || { echo "To format, and fix what can be fixed: make format"; exit 1; }
	mypy

format: .venv/test ## Format, and fix what can be fixed
	ruff check --fix-only .
	ruff format .
	ruff check .

review: .venv/run ## Compare the work tree with BASE: metrics, parameters, the gate (EXACT=yes: check dvc.lock, too)
	python -m mlops.review --base $(BASE) $(if $(EXACT),--exact)

ci: .venv/dev ## Run the pull request's workflows locally with act, against BASE
	python engine/tests/ci.py $(BASE)

serve: .venv/run ## Serve the work tree's model on 127.0.0.1 (PORT=8000)
	python -m mlops.repair_dvc
	dvc repro --quiet --no-run-cache
	OMP_NUM_THREADS=1 SERVE_PORT=$(PORT) SERVE_GIT_COMMIT=$$(git rev-parse HEAD) \
	  python -m mlops.serving

monitor: .venv/run ## Compare the prediction log at PREDICTION_LOG_URL with the model of the work tree
	python -m mlops.repair_dvc
	dvc repro --quiet --no-run-cache
	python -m mlops.monitoring

replay-sample: .venv/run ## Store a sample of requests for reviews to replay (monitor.replay)
	python -m mlops.monitoring.replay_sample

collect: .venv/run ## Write new rows of SOURCE_DATABASE_URL into the next partition (COLLECT="--late --dry-run")
	python -m mlops.collect $(COLLECT)

retrain: .venv/run ## Add newer data and feedback, retrain, review (RETRAIN=--force: propose it in any case)
	python -m mlops.repair_dvc
	python -m mlops.monitoring.retrain $(RETRAIN)

loop: .venv/run ## Run the whole loop locally: serve, drift, alarm, retrain, review, release
	python engine/examples/loop.py

remote: .venv/remotes ## Store data and models in DVC_REMOTE_URL: s3://, gs://, azure://, ssh://, https://
	python -m mlops.remote

upgrade: .venv/run ## Upgrade the engine to a later release of the template, and review it (FROM=address TO=v1.2.0)
	python -m mlops.upgrade $(if $(FROM),--from "$(FROM)") $(if $(TO),--to "$(TO)")
	$(MAKE) review BASE=HEAD || test $$? -le 2

github: ## Set up the repository on GitHub: checks, permissions, environments (YES=1; SET="NAME=VALUE …")
	PYTHONPATH=engine $(PYTHON) -m mlops.github.repository_settings $(if $(YES),--yes) $(SET)

image: .venv/run ## Build the serving image with docker, podman or buildah (mlops:latest)
	python -m mlops.repair_dvc
	dvc repro --quiet --no-run-cache
	python -m mlops.release.image $(IMAGE_OPTIONS)

smoke: image ## Build the image, run it without privileges, compare its answers with the evaluation
	python -m mlops.release.smoke mlops

bench: .venv/dev ## Run the benchmarks
	python -m mlops.repair_dvc
	dvc repro --quiet --no-run-cache
	python engine/benchmarks/pipeline.py
	python engine/benchmarks/growth.py --into docs/scale.md
	python engine/benchmarks/serving.py
	python engine/benchmarks/workers.py
	python engine/benchmarks/score.py
	python engine/benchmarks/search.py
	python engine/benchmarks/review.py
	python engine/benchmarks/review_overhead.py
	python engine/benchmarks/image.py
	python engine/benchmarks/monitoring.py --windows 100 --out artifacts
	python engine/benchmarks/monitoring_delay.py --seeds 10
	python engine/benchmarks/feedback_flood.py

UPGRADED = $(if $(filter 1,$(UPGRADE)),--upgrade,$(addprefix --upgrade-package ,$(UPGRADE)))
COMPILE = uv pip compile -q --universal --fork-strategy fewest --generate-hashes --no-annotate \
  --custom-compile-command 'make lock: one set of versions for Python 3.11 to 3.14'
lock: .venv/run ## Lock the dependencies of pyproject.toml; versions are kept (ADD=name; UPGRADE=1: upgrade all; UPGRADE=name)
	$(if $(ADD),uv add -q --frozen $(ADD))
	$(COMPILE) $(UPGRADED) \
	  --group dev --group serve pyproject.toml -o requirements-dev.txt
	$(COMPILE) \
	  -c requirements-dev.txt --group test -o requirements-test.txt
	$(COMPILE) \
	  -c requirements-dev.txt --group serve pyproject.toml -o requirements.txt
	$(COMPILE) --no-emit-package scipy \
	  -c requirements-dev.txt --group serve -o requirements-serve.txt
	$(COMPILE) \
	  -c requirements-dev.txt --group serve-joblib -o requirements-serve-joblib.txt
	$(COMPILE) \
	  -c requirements-dev.txt --group setup -o requirements-setup.txt
	$(COMPILE) \
	  -c requirements-dev.txt --group comment -o requirements-comment.txt
	$(COMPILE) \
	  -c requirements-dev.txt $(addprefix --extra ,s3 gs azure ssh) pyproject.toml -o requirements-remotes.txt
	$(COMPILE) \
	  -c requirements-dev.txt --extra dask pyproject.toml -o requirements-dask.txt

clean: ## Delete everything generated, including the cache of data and models
	rm -rf artifacts .venv .dvc/cache .dvc/tmp .dvc-remote

# uv takes seconds where pip takes minutes; pip, which reads more of a machine's settings, is the
# fallback if uv can't reach the packages.
INSTALL = uv pip install -q --compile-bytecode --python .venv/bin/python --require-hashes -r $(1) \
  || python -m pip install -q --require-hashes -r $(1)

.venv/run: requirements.txt requirements-setup.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' \
	  || { $(PYTHON) --version; echo "wanted Python 3.11 to 3.14: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv .venv \
	  || { echo "$(PYTHON) can't make .venv; on Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-setup.txt
	$(call INSTALL,requirements.txt)
	@.venv/bin/python -c 'import pathlib, sysconfig; \
	  folder = pathlib.Path(sysconfig.get_path("purelib")); \
	  (folder / "repository.pth").write_text("$(CURDIR)/engine\n$(CURDIR)/src\n", encoding="utf-8")'
	touch $@

.venv/test: .venv/run requirements-test.txt
	$(call INSTALL,requirements-test.txt)
	touch $@

.venv/dev: .venv/test requirements-dev.txt
	$(call INSTALL,requirements-dev.txt)
	touch $@

# Needed to rewrite a report as a comment: a parser of Markdown.
.venv/comment: requirements-comment.txt
	$(PYTHON) -m venv .venv
	python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-comment.txt
	touch $@

# Additional libraries for real storage.
.venv/remotes: .venv/run requirements-remotes.txt
	$(call INSTALL,requirements-remotes.txt)
	touch $@

# Additional libraries for a search on a Dask cluster, here and on its workers.
.venv/dask: .venv/run requirements-dask.txt
	$(call INSTALL,requirements-dask.txt)
	touch $@
