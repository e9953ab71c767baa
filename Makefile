# Needs Python 3.11 or newer, make and git; everything else comes into .venv, but for Chromium, npm
# and pandoc, which `make tools` sees to.

VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2
IMAGE ?= bids_fx:local
BUILD_FLAGS ?=
SIF ?= bids_fx.sif
APPTAINER ?= $(shell command -v apptainer || command -v singularity)
# What runs the image in the tests: the first that is there of those in their with_runtime.sh.
KIND ?=

# The first engine that answers: the program docker may be there without its daemon. By eval, here
# and below, for the first target that asks, and once.
ENGINE ?= $(eval ENGINE := $$(shell for engine in docker podman; do \
	"$$$$engine" info >/dev/null 2>&1 && { echo "$$$$engine"; break; }; done))$(ENGINE)

# The first interpreter that really runs (a pyenv shim may not), is new enough and can make
# an environment. `make PYTHON=/path/to/python ...` takes another one.
PYTHON ?= $(eval PYTHON := $$(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	"$$$$python" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' \
		>/dev/null 2>&1 && { command -v "$$$$python"; break; }; done))$(PYTHON)

# Stamps: what was installed from which files.
BASE := $(VENV)/.base
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
PUBLISH := $(VENV)/.publish

PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# Pinned and hashed; what has no wheel is built with the pinned tools of requirements/build.txt.
INSTALL := $(PIP) install --quiet --require-hashes --no-build-isolation

# One module's tests stay in one process: they share what they made. The modules are begun in
# the order that tests/conftest.py gives them, not by their number of tests.
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder
# What has a target of its own, since it needs an engine, a scheduler or time.
APART := image or apptainer or cluster or soak

# A release is a tag v and the version. Where its image goes, as registry/owner/name, is
# DOCKER_REPOSITORY; DOCKER_USER and DOCKER_PASSWORD may push there, TWINE_PASSWORD to PyPI.
# Nothing is published without the viewer of the maps.
VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' pyproject.toml)
RELEASE ?= $(CIRCLE_TAG)
SEE_TO_RELEASE = test '$(RELEASE)' = 'v$(VERSION)' || { \
	echo 'RELEASE is "$(RELEASE)", but this is v$(VERSION).' >&2; exit 1; }

# Settings, state and logs of the Slurm that is tested with.
SLURM ?= /run/bids_fx-slurm

ONEBACK := tests/data/oneback
CONDITIONS := body face house object scene scramble
DEMO_OUT := demo_out
DIST := dist
BENCH_FLAGS ?=
AGREEMENT_FLAGS ?=

# What the tests need; for chromium, any of these or CHROMIUM=/path/to/it.
TOOLS := chromium npm pandoc
BROWSERS := chromium chromium-browser google-chrome google-chrome-stable

# One set of pins serves all Pythons: resolved for the oldest, then checked for each.
PINS_PYTHON ?= python3.11
PINS_FLAGS ?=
PINNED_PYTHONS := 3.11 3.12 3.13
PINS_VENV := $(VENV)-pins
AUDIT_VENV := $(VENV)-audit
# For check-pins, what is not of this machine: PLATFORM="--platform macosx_11_0_arm64".
PLATFORM ?=
FORMATS := --only-binary :all: --no-binary docopt
COMPILE = $(PINS_VENV)/bin/pip-compile --quiet --no-config --no-header --strip-extras \
	--generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links \
	--no-emit-trusted-host --pip-args '$(FORMATS)' $(PINS_FLAGS)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test style types spelling pytest coverage unit oracle e2e calibration bench \
	agreement soak test-rights tools viewer install image test-image sif test-apptainer test-cluster package \
	publish-image publish-package pins check-pins audit clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-15s %s\n", $$1, $$2 }' Makefile

demo: $(RUNTIME) ## run the program on the small real dataset
	$(BIN)/bids_fx $(ONEBACK) $(DEMO_OUT) participant \
		-d $(ONEBACK)/derivatives/preproc \
		--contrast 'all = (body + face + house + object + scene + scramble)/6' \
		--contrast 'face - house' \
		--contrast 'face - scramble' \
		$(foreach condition,$(CONDITIONS),--contrast '$(condition)')
	@echo 'Report: $(DEMO_OUT)/sub-02.html'

test: style types spelling pytest ## all checks and tests

style: $(DEV) ## lint, and check the format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(DEV) ## check the types
	$(BIN)/mypy

spelling: $(DEV) ## check the spelling
	$(BIN)/codespell

pytest: $(DEV) tools viewer ## all tests
	$(PYTEST)

# Tracing takes half as much time again, and of ten changes nine leave it as it is.
coverage: $(DEV) tools viewer ## all tests, and how much of the program they run
	$(PYTEST) -m 'not (rights or $(APART))' --cov --cov-report=term:skip-covered

unit: $(DEV) tools viewer ## the tests that run neither the program nor another one
	$(PYTEST) -m 'not (oracle or e2e or browser or rights or $(APART))'

oracle: $(DEV) tools viewer ## the comparisons with other programs
	$(PYTEST) -m 'oracle and not ($(APART))'

e2e: $(DEV) tools viewer ## the tests that run the program on files, or open its reports
	$(PYTEST) -m '(e2e or browser) and not (rights or $(APART))'

# Those of CI services and containers may not.
test-rights: $(DEV) viewer ## the tests that mount file systems or act as other users (as root)
	$(PYTEST) -m 'rights and not ($(APART))'

soak: $(DEV) tools viewer ## the tests against faults at length: more kills, cases, participants
	SOAK=1 $(PYTEST) -m 'soak or not soak' tests/faults

calibration: $(DEV) ## false positives of our tests and nilearn's (real noise: DATA=FOLDER)
	$(BIN)/python benchmarks/calibration.py --jobs $(WORKERS) $(if $(DATA),--data '$(DATA)')

bench: $(DEV) ## time and memory beside nilearn's (and FitLins': FITLINS=PATH)
	$(BIN)/python benchmarks/speed.py $(if $(FITLINS),--fitlins '$(FITLINS)') $(BENCH_FLAGS)

agreement: $(DEV) ## the same models in FitLins (FITLINS=PATH)
	$(BIN)/python benchmarks/fitlins_agreement.py $(if $(FITLINS),--fitlins '$(FITLINS)') $(AGREEMENT_FLAGS)

# npm fetches what checks the accessibility of pages.
tools: ## see to Chromium, npm and pandoc, which the tests need
	@set --; for tool in $(TOOLS); do \
		names=$$tool; test "$$tool" != chromium || names=$${CHROMIUM:-$(BROWSERS)}; \
		found=; for name in $$names; do ! command -v "$$name" >/dev/null || found=yes; done; \
		test -n "$$found" || set -- "$$@" "$$tool"; done; \
	test $$# -gt 0 || exit 0; \
	if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
		apt-get update --quiet && DEBIAN_FRONTEND=noninteractive \
			apt-get install --quiet --yes --no-install-recommends "$$@"; \
	else \
		echo "$$* is needed, and not here: install it (Debian: apt install $$*)." >&2; \
		echo 'A browser may be named: make CHROMIUM=/path/to/chromium ...' >&2; exit 1; \
	fi

install: $(RUNTIME) ## install the program into .venv

viewer: $(BASE) ## fetch the viewer of the maps by npm (installing and building do it too)
	$(BIN)/python hatch_build.py

image: viewer ## build the container image (ENGINE=podman; BUILD_FLAGS=...)
	@test -n '$(ENGINE)' || { \
		echo 'Neither docker nor podman answers: start or install one, or name it:' >&2; \
		echo 'make ENGINE=/path/to/podman image' >&2; exit 1; }
	$(ENGINE) build --tag $(IMAGE) --build-arg TAG=$(IMAGE) \
		--build-arg REVISION="$$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
		$(BUILD_FLAGS) .

# Where nothing is there yet, podman and a base image are seen to.
test-image: $(DEV) viewer ## build the container image, and run it as its users do
	ENGINE='$(ENGINE)' IMAGE='$(IMAGE)' BUILD_FLAGS='$(BUILD_FLAGS)' \
		tests/image/with_image.sh $(PYTEST) -m image tests/image

sif: image ## build Apptainer's image from it (SIF=bids_fx.sif; APPTAINER=singularity)
	@test -n '$(APPTAINER)' || { \
		echo 'Neither apptainer nor singularity was found: install one, or name it:' >&2; \
		echo 'make APPTAINER=/path/to/apptainer sif' >&2; exit 1; }
	sif=$$(realpath -m '$(SIF)') && folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(ENGINE) save --output "$$folder/bids_fx.tar" $(IMAGE) && cp bids_fx.def "$$folder" && \
	cd "$$folder" && '$(APPTAINER)' build --force "$$sif" bids_fx.def

test-apptainer: $(DEV) viewer ## run the image as clusters do (KIND=charliecloud: by a stand-in)
	ENGINE='$(ENGINE)' IMAGE='$(IMAGE)' BUILD_FLAGS='$(BUILD_FLAGS)' KIND='$(KIND)' \
		tests/image/with_image.sh tests/apptainer/with_runtime.sh \
		$(PYTEST) -m apptainer tests/apptainer

test-cluster: $(DEV) ## run jobs on a Slurm of its own, which it installs if need be (as root)
	tests/cluster/loopback.sh run $(SLURM) \
		timeout 360 $(BIN)/python -m pytest -m cluster tests/cluster

package: $(PUBLISH) viewer ## build what pip installs, and check it
	rm -rf $(DIST)
	$(BIN)/python -m hatchling build --directory $(DIST)
	$(BIN)/twine check --strict $(DIST)/*

publish-image: ## build a release's image and push it (RELEASE=v1.2.3; see the top of this file)
	@$(SEE_TO_RELEASE)
	@for name in DOCKER_REPOSITORY DOCKER_USER DOCKER_PASSWORD; do \
		test -n "$$(printenv "$$name")" || { echo "$$name is not set." >&2; exit 1; }; done
	$(MAKE) image IMAGE="$$DOCKER_REPOSITORY:$(VERSION)" \
		BUILD_FLAGS='--build-arg BIDS_FX_VIEWER=require $(BUILD_FLAGS)'
	@printenv DOCKER_PASSWORD | $(ENGINE) login --username "$$DOCKER_USER" --password-stdin \
		"$${DOCKER_REPOSITORY%%/*}"
	$(ENGINE) push "$$DOCKER_REPOSITORY:$(VERSION)"

publish-package: ## build a release's package and upload it (RELEASE=v1.2.3, TWINE_PASSWORD)
	@$(SEE_TO_RELEASE)
	@test -n "$$TWINE_PASSWORD" || { echo 'TWINE_PASSWORD is not set.' >&2; exit 1; }
	$(MAKE) tools TOOLS=npm
	BIDS_FX_VIEWER=require $(MAKE) package
	TWINE_USERNAME="$${TWINE_USERNAME:-__token__}" \
		$(BIN)/twine upload --non-interactive $(DIST)/*

$(BASE): requirements/build.txt
	@test -n '$(PYTHON)' || { \
		echo 'No Python 3.11 or newer that can make a virtual environment was found.' >&2; \
		echo 'Install one (Debian and Ubuntu: apt install python3 python3-venv),' >&2; \
		echo 'or name it: make PYTHON=/path/to/python3.12 ...' >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	$(INSTALL) -r requirements/build.txt
	@touch $@

$(RUNTIME): $(BASE) requirements.txt pyproject.toml hatch_build.py
	$(INSTALL) -r requirements.txt
	$(PIP) install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

$(DEV): $(RUNTIME) requirements/dev.txt
	$(INSTALL) -r requirements/dev.txt
	@touch $@

$(PUBLISH): $(BASE) requirements/publish.txt
	$(INSTALL) -r requirements/publish.txt
	@touch $@

pins: ## pin the requirements again (newest versions: PINS_FLAGS=--upgrade)
	$(PINS_PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'
	$(PINS_PYTHON) -m venv $(PINS_VENV)
	$(PINS_VENV)/bin/python -m pip install --quiet pip-tools==7.6.2
	$(COMPILE) --output-file requirements.txt pyproject.toml
	$(COMPILE) --output-file requirements/build.txt \
		--constraint requirements.txt requirements/build.in
	$(COMPILE) --output-file requirements/dev.txt \
		--constraint requirements.txt pyproject.toml requirements/dev.in
	$(COMPILE) --output-file requirements/npm.txt requirements/npm.in
	$(COMPILE) --output-file requirements/publish.txt \
		--constraint requirements/dev.txt requirements/publish.in
	$(MAKE) check-pins

check-pins: $(BASE) ## see that for each Python there is what is pinned (downloads it all)
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	for version in $(PINNED_PYTHONS); do \
		for file in dev npm publish; do \
			$(PIP) download --quiet --require-hashes --no-deps --no-build-isolation \
				--python-version "$$version" $(PLATFORM) $(FORMATS) \
				--dest "$$folder" -r "requirements/$$file.txt" || exit 1; \
		done; \
	done

# What is known of a package changes, and the pins do not: no part of `make test`. Without an index
# that knows (PyPI's does), the first package that nothing is known of ends it.
audit: $(BASE) ## ask the package index for known vulnerabilities of all that is pinned
	test -x $(AUDIT_VENV)/bin/pip-audit || { $(BIN)/python -m venv $(AUDIT_VENV) && \
		$(AUDIT_VENV)/bin/python -m pip install --quiet pip-audit==2.10.1; }
	@for file in requirements.txt requirements/*.txt; do \
		echo "$$file"; \
		$(AUDIT_VENV)/bin/pip-audit --strict --disable-pip --require-hashes \
			--progress-spinner off -r "$$file" || { \
			echo "$$file: something is wrong with a pin, or nothing is known of it." >&2; \
			exit 1; }; \
	done

clean: ## remove what was made here, the environments included
	rm -rf $(VENV) $(PINS_VENV) $(AUDIT_VENV) $(DEMO_OUT) .bench .npm build $(DIST) .coverage .coverage.* \
		bids_fx/data/viewer \
		.hypothesis .mypy_cache .pytest_cache .ruff_cache
	find bids_fx tests -name __pycache__ -type d -prune -exec rm -rf {} +
