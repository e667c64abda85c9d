# Two commands for a fresh machine: `make demo` and `make test`. `make help` lists the rest.

VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
BUILD := $(CURDIR)/build
DEMO := $(BUILD)/demo
# The folder of the Kubernetes lab that the tests marked `cluster` start.
LAB ?= ../shared/k8s/lab
# A Python to start the installer with; it looks for CPython 3.11 itself.
PYTHON ?=
PYTEST_ARGS ?=

# One thread: on few cores the libraries' thread pools only get in each other's way.
export OMP_NUM_THREADS ?= 1
export LAB := $(abspath $(LAB))
# Caches that libraries would put into the home directory stay below the checkout.
export VLLM_CACHE_ROOT ?= $(BUILD)/cache/vllm
export VLLM_CONFIG_ROOT ?= $(BUILD)/cache/vllm-config
export TORCHINDUCTOR_CACHE_DIR ?= $(BUILD)/cache/inductor
export TRITON_CACHE_DIR ?= $(BUILD)/cache/triton
export HF_HOME ?= $(BUILD)/cache/huggingface

# Compiled modules are kept: else every process of a run spends its first 20 s on compiling anew.
unexport PYTHONDONTWRITEBYTECODE

SOURCES := openrlhf_core operator trainer_images tests examples benchmarks
GENERATED := crds $(addprefix helm/rlhf-operator/,values.schema.json templates/crds templates/rbac/_rules.tpl)

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo test soak test-cluster fmt lint gen verify lock clean e2e e2e-images faults images run-operator bench

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: install ## install what a run needs, then watch a reward rise (the quickstart, afresh)
	rm -rf "$(DEMO)"
	"$(BIN)/rlhf" run examples/quickstart-grpo.yaml --output "$(DEMO)"

test: install-dev ## install what the tests need, then run them (PYTEST_ARGS='-k name')
	"$(BIN)/python" -m pytest -m "not gpu and not cluster and not soak" $(PYTEST_ARGS)

soak: install-dev ## run what takes too long for `make test` and write the table docs/soak.md
	SOAK_TABLE=docs/soak.md "$(BIN)/python" -m pytest -m soak $(PYTEST_ARGS)

test-cluster: install-dev ## run the tests that need an API server (LAB, or the cluster of KUBECONFIG)
	"$(BIN)/python" -m pytest -m "cluster and not gpu" $(PYTEST_ARGS)

install: ## create .venv with the CPU stack
	@$(call installer,)

install-dev: ## the same, with what tests and lint need
	@$(call installer,--dev)

fmt: install-dev ## format the code and fix what ruff can fix
	"$(BIN)/ruff" check --fix --quiet $(wildcard $(SOURCES)) || true
	"$(BIN)/ruff" format --quiet $(wildcard $(SOURCES))

lint: install-dev ## ruff, mypy --strict, and which folder may import which
	"$(BIN)/ruff" format --check $(wildcard $(SOURCES))
	"$(BIN)/ruff" check $(wildcard $(SOURCES))
	"$(BIN)/mypy"
	"$(BIN)/mypy" tests trainer_images
	"$(BIN)/lint-imports"

gen: install-dev ## write the generated files anew
	"$(BIN)/python" -m rlhf_operator.codegen.crd
	"$(BIN)/python" -m rlhf_operator.codegen.helm

verify: lint gen ## lint, and fail when a generated file is not what is committed
	@changed="$$(git status --porcelain -- $(GENERATED))"; test -z "$$changed" || { \
	  git --no-pager diff -- $(GENERATED); \
	  echo "Generated files differ from the committed ones; commit what 'make gen' wrote:"; \
	  echo "$$changed"; exit 1; }

# End to end on the test cluster's real node (root). `make e2e MANIFEST=file` runs another job and
# writes the final object to build/e2e/<name>.json.
E2E = "$(BIN)/python" tests/cluster/e2e/run.py --lab "$(LAB)" $(if $(MANIFEST),--manifest "$(MANIFEST)")

e2e: install-dev ## the operator from its image, the quickstart to Complete (MANIFEST=file)
	$(E2E)

e2e-images: install-dev ## the same from the real trainer-cpu image
	$(E2E) --images

faults: install-dev ## break it in every way we know and write the table docs/faults.md
	"$(BIN)/python" tests/cluster/e2e/faults.py --lab "$(LAB)" $(FAULTS_ARGS)

# With another builder: make images BUILDER="docker build" PREFIX=my.registry/
BUILDER ?= $(LAB) image build
PREFIX ?= registry.lab/
VERSION := 0.1.0

images: ## build the operator's and the CPU trainer's image
	$(BUILDER) $(if $(findstring docker,$(BUILDER)),-t) $(PREFIX)rlhf-operator:$(VERSION) -f trainer_images/operator/Dockerfile .
	$(BUILDER) $(if $(findstring docker,$(BUILDER)),-t) $(PREFIX)rlhf-trainer-cpu:$(VERSION) -f trainer_images/trainer-cpu/Dockerfile .

bench: install ## compare GRPO on CPU with TRL, about half an hour (BENCH_ARGS='--case B1-0.3M')
	"$(BIN)/python" benchmarks/grpo_vs_trl.py $(BENCH_ARGS)

run-operator: install-dev ## run the operator here, against the current kubeconfig
	"$(BIN)/python" -m rlhf_operator --all-namespaces $(OPERATOR_ARGS)

lock: install-dev ## write the pin files from what .venv holds
	"$(BIN)/python" trainer_images/lock_cpu.py

clean: ## remove what builds and runs left (not .venv)
	rm -rf "$(BUILD)" dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# The first Python that can run the installer; without one, say so.
define installer
for python in $(PYTHON) python3.11 python3 python; do \
  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' >/dev/null 2>&1; then \
    exec "$$python" trainer_images/install_cpu.py --venv "$(VENV)" $(1); \
  fi; \
done; \
echo "No Python was found. Install CPython 3.11 (Debian: sudo apt-get install python3.11 python3.11-venv python3.11-dev)."; \
exit 2
endef
