# Every target first makes sure of what it needs: scripts/setup is quick when nothing is missing.

CARGO ?= cargo
BIN := $(or $(CARGO_TARGET_DIR),target)/debug

.PHONY: help demo demo-scripted test bench estimates chaos fmt lint

help:
	@echo "make demo           a database, Abeyance and a stand-in for Slack, to try by hand"
	@echo "make demo-scripted  the same story played unattended; fails unless each hold ends as it must"
	@echo "make test           everything: units, wire transcripts, real drivers, the console in Chromium"
	@echo "make bench          CPU per query and added latency, beside PgBouncer"
	@echo "make estimates      how good the blast radius is: what holds say of a million rows, beside what is true"
	@echo "make chaos N=5000   random faults at random moments, N trials; make test runs 500"
	@echo "make fmt lint       formatting; clippy, and cargo-deny when it is installed"

demo:
	scripts/setup demo
	$(CARGO) build --locked -p abeyance -p abeyance-demo
	$(BIN)/abeyance-demo

demo-scripted:
	scripts/setup demo
	$(CARGO) build --locked -p abeyance -p abeyance-demo
	$(BIN)/abeyance-demo --scripted

test:
	scripts/test

bench:
	scripts/setup bench
	bench/run

estimates:
	scripts/setup bench
	$(CARGO) build --locked -p abeyance
	ABEYANCE_BIN=$(abspath $(BIN)/abeyance) bench/estimates

chaos:
	scripts/setup test
	$(CARGO) build --locked -p abeyance -p abeyance-chaos
	ABEYANCE_BIN=$(abspath $(BIN)/abeyance) $(BIN)/abeyance-chaos --trials $(or $(N),500)

fmt:
	$(CARGO) fmt --all

lint:
	scripts/setup build
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny --locked check; \
	else echo "cargo-deny is not installed: deny.toml was not checked"; fi
