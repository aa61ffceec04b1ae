# `make run` shows the relay at work, `make test` runs every test; both install what they need first.

.PHONY: run test bench build lint vectors help
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

run: ## Build the relay and show it at work: two tenants, a client, and what an eavesdropper sees
	@scripts/setup build
	cargo run --release --bin mte-relay -- demo

build: ## Build the relay: target/release/mte-relay
	@scripts/setup build
	cargo build --release --bin mte-relay

test: ## Run everything: formatting, lints, unit, property, vector and end-to-end tests, the independent client
	@scripts/setup build test
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo test --workspace --locked
	MTE_RELAY_BIN=$(CURDIR)/target/debug/mte-relay target/interop-venv/bin/pytest -q tests/interop

bench: ## Measure against a direct upstream, nginx and a plain Pingora proxy, in one run
	@scripts/setup build bench
	cargo build --release --bin mte-relay
	cargo run --release -p mte-bench --bin mte-bench -- $(ARGS)

vectors: ## Make the codec's test vectors anew
	cargo run -p mte-codec --example vectors > crates/mte-codec/vectors/v1.json.new
	mv crates/mte-codec/vectors/v1.json.new crates/mte-codec/vectors/v1.json
