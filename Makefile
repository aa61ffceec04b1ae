# `make run` runs the demo, `make test` runs every test; both first install what they need.

.PHONY: run test test-js test-js-only test-shared deps graph bench build vectors help
.DEFAULT_GOAL := help

# The file in which tests record that they were skipped, and why.
SKIPS := $(CURDIR)/target/skipped-tests
export MTE_RELAY_SKIPS = $(SKIPS)
BEGIN = @mkdir -p target && rm -f $(SKIPS)
END = @if [ -s $(SKIPS) ]; then echo "Not tested on this machine:"; sort -u $(SKIPS) | sed 's/^/  /'; else echo "No test was skipped."; fi

# Colours are for terminals.
JS_ENV = env $$([ -t 2 ] || echo NO_COLOR=1) MTE_RELAY_BIN=$(CURDIR)/target/debug/mte-relay MTE_DEMO_BIN=$(CURDIR)/target/debug/mte-demo CHROMIUM_BIN=$${CHROMIUM_BIN:-$$(command -v chromium)}

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

run: ## Build the relay and run the demo: two tenants, a client, and what an eavesdropper sees
	@scripts/setup build
	cargo build --release -p mte-relay -p mte-demo
	target/release/mte-demo

build: ## Build the relay: target/release/mte-relay
	@scripts/setup build
	cargo build --release --bin mte-relay

test: ## Run everything: formatting, lints, unit, property, vector and end-to-end tests, the other clients
	$(BEGIN)
	@scripts/setup build test unused
	cargo fmt --all --check
	cargo machete
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	scripts/package
	cargo build --release --bin mte-relay --locked
	cargo test --workspace --locked
	MTE_RELAY_BIN=$(CURDIR)/target/debug/mte-relay target/interop-venv/bin/pytest -q -rs tests/interop
	cd tests/status-page && $(JS_ENV) npm test --silent
	@$(MAKE) --no-print-directory test-js-only
	$(END)

test-js: ## Run the JavaScript packages' tests: lints, Node, Chromium, the demo page, the packed packages
	$(BEGIN)
	@$(MAKE) --no-print-directory test-js-only
	$(END)

test-js-only:
	@scripts/setup build js
	cargo build -p mte-relay -p mte-demo --locked
	cd clients/js && npm run lint && npm run build && npm run docs
	cd clients/js && $(JS_ENV) npm test && $(JS_ENV) npm run test:browser
	cd clients/js && npm run test:pack && npm run size

test-shared: ## Test several relays that share a Redis, with as many requests as the figures in docs/scaling.md were measured with
	@scripts/setup build test
	MTE_RELAY_FULL_SIZE=1 cargo test --workspace --locked --test e2e shared:: -- --nocapture --test-threads 1

deps: ## Check the dependencies: licences, sources, bans (`make test` finds unused ones)
	@scripts/setup deps
	cargo deny --locked check licenses bans sources

graph: ## Print which module imports which, and which crate depends on which
	cargo test --quiet --test architecture -- --nocapture printed

bench: ## Measure against a direct upstream, nginx and a plain Pingora proxy, in one run
	@scripts/setup build bench
	cargo build --release --bin mte-relay
	cargo run --release -p mte-bench --bin mte-bench -- $(ARGS)

vectors: ## Generate the codec's test vectors again
	cargo run -p mte-codec --example vectors > crates/mte-codec/vectors/v1.json.new
	mv crates/mte-codec/vectors/v1.json.new crates/mte-codec/vectors/v1.json
