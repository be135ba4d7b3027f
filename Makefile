# What one does with a clone of this project. Every target first does what it needs; `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test lint asan bench

VENV := .venv
PYTHON := $(VENV)/bin/python
PIP_INSTALL := $(PYTHON) -m pip install --quiet --disable-pip-version-check --constraint dev/constraints.txt

# rustup puts cargo where not every shell looks; pip's build runs the maturin of the virtual environment.
export PATH := $(abspath $(VENV)/bin):$(PATH):$(HOME)/.cargo/bin
export PYO3_PYTHON := $(abspath $(PYTHON))

# The package is built anew when one of these has changed.
SOURCES := pyproject.toml Cargo.toml Cargo.lock rust/Cargo.toml $(shell find rust/src -name '*.rs')

# Those that reach unsafe code; the others are slow, or reach the same.
ASAN_TESTS := pipeline split long_pieces train_counts train resume spill

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/built  ## make the virtual environment .venv, build the release and install it with the development tools

demo: $(VENV)/built  ## train, encode and compare on Python's own source, or on CORPUS=path; some two minutes
	@echo "== The demo: train, encode into shards, compare with tiktoken and sentencepiece"
	$(VENV)/bin/minbpe demo $(if $(CORPUS),"$(CORPUS)")

test: $(VENV)/built  ## run every test: of the Rust crate, then of the Python package
	@echo "== Tests of the Rust crate"
	cargo test --locked
	@echo "== Tests of the Python package"
	$(PYTHON) -m pytest

lint: $(VENV)/built  ## check format, types and lints of Python and Rust; changes nothing
	@echo "== Python: lints, format, types"
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy
	@echo "== Rust: format, then lints without and with the Python module"
	cargo fmt --check
	cargo clippy --locked --all-targets -- --deny warnings
	cargo clippy --locked --all-targets --features python -- --deny warnings
	cargo check --locked --features abi3

asan:  ## run the tests of the Rust crate that reach unsafe code, under AddressSanitizer; some four minutes
	@echo "== Tests of the Rust crate, with every access to memory checked"
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-target}/asan" \
	    cargo test --quiet --locked --target "$$(rustc -vV | sed -n 's/^host: //p')" --lib $(addprefix --test ,$(ASAN_TESTS))

bench: $(VENV)/built  ## measure against other tokenizers
	@echo "== Benchmarks"
	$(PYTHON) -m benchmarks load
	$(PYTHON) -m benchmarks train
	$(PYTHON) -m benchmarks encode

$(VENV)/built: $(VENV)/tools $(SOURCES)
	@echo "== Building the release and installing it into $(VENV)"
	@$(PIP_INSTALL) --no-build-isolation --editable '.[dev]'
	@touch $@

$(VENV)/tools: dev/constraints.txt
	@echo "== Making the virtual environment $(VENV)"
	@command -v cargo > /dev/null || { echo "cargo is missing: install Rust first" >&2; exit 1; }
	@for python in python3.11 python3.12 python3.13 python3.14 python3; do \
	    if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then \
	        exec $$python -m venv $(VENV); \
	    fi; \
	done; echo "Python 3.11 or later is missing" >&2; exit 1
	@$(PIP_INSTALL) maturin
	@touch $@
