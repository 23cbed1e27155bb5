# `make` alone prints this help. Bodies over a few lines live in scripts/.

SHELL := bash
.DEFAULT_GOAL := help
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/banyan/target
BIN := $(CARGO_TARGET_DIR)/debug
CARGO_FLAGS ?= --locked
IMAGES := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/banyan/images

##@ Use
.PHONY: demo
demo: setup build ## Run examples/campus.yaml and print the page's address (Ctrl-C ends it)
	$(BIN)/banyan up examples/campus.yaml

.PHONY: build
build: web ## Build the page and the binaries
	cargo build $(CARGO_FLAGS) --workspace --bins

.PHONY: images
images: setup build ## Write OCI images of the binaries without an engine, into the cache
	scripts/images.sh

.PHONY: cluster
cluster: images ## A Kubernetes cluster with two nodes and the images, until Ctrl-C (needs root)
	scripts/setup.sh cluster
	scripts/cluster.sh $(addprefix --image ,$(wildcard $(IMAGES)/banyan-*.tar))

##@ Check
.PHONY: test
test: setup ## Everything this machine allows; STRICT=1 turns a skip into a failure
	scripts/test.sh

.PHONY: test-fast
test-fast: ## Unit tests and simulations only
	DEPTH=unit scripts/test.sh

.PHONY: lint
lint: setup web ## Formatting, lints, generated files, house rules
	scripts/lint.sh

.PHONY: arm64
arm64: web ## Check that all but the content server compiles for arm64 (needs a cross compiler)
	scripts/arm64.sh

.PHONY: bench
bench: setup ## Measure against peers and limits; writes bench/results.*.jsonl (PRESET=hop|edge|planner|resume|links|all)
	scripts/bench.sh $(or $(PRESET),all)

##@ Work
.PHONY: fmt
fmt: ## Format the sources
	cargo fmt --all

.PHONY: gen
gen: ## Write the generated files (crds/, the chart's copies and README, docs/reference)
	cargo run $(CARGO_FLAGS) -q -p banyan -- crds --out crds
	PYTHONPATH=$$(scripts/python.sh) python3 -B scripts/references.py

.PHONY: web
web: setup ## Build the viewer page into web/dist
	scripts/web.sh

.PHONY: setup
setup: ## Install what is missing from Debian
	scripts/setup.sh

.PHONY: clean-cache
clean-cache: ## Remove compiled dependencies and prepared assets from the cache
	rm -rf "$(dir $(CARGO_TARGET_DIR))"

.PHONY: help
help:
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} /^[a-z-]+:.*##/ {printf "  \033[36m%-12s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)
