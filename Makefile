# make demo: train, evaluate, prove and report on bundled digits.  make test: every check.
TORCH ?= torch==2.13.0
PYTHON ?= python3
BIN := .venv/bin
# real data for the tests marked `data`, where it lies beside the project
ifneq ($(wildcard ../shared/data),)
export IIAE_DATA ?= $(abspath ../shared/data)
endif

.PHONY: setup demo test clean

setup: .venv/ready

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet '$(TORCH)'
	$(BIN)/pip install --quiet -e '.[dev]'
	touch $@

demo: setup
	$(BIN)/iiae train experiments/digits-cdcb.toml --out runs/demo --overwrite
	$(BIN)/iiae evaluate runs/demo
	$(BIN)/iiae disentangle runs/demo
	$(BIN)/iiae data digits-cdcb --export runs/demo/samples --size 16 --count 8
	$(BIN)/iiae translate runs/demo runs/demo/samples/x --to y --samples 4 --out runs/demo/translation.png
	$(BIN)/iiae report runs/demo
	$(BIN)/iiae data digits-cdcb --export runs/demo/collection --size 16 --count 359
	rm -rf runs/demo/gallery
	$(BIN)/iiae index runs/demo runs/demo/gallery runs/demo/collection/y --domain y
	@echo "next: $(BIN)/iiae serve runs/demo --gallery runs/demo/gallery"

test: setup
	PATH="$(abspath $(BIN)):$$PATH" scripts/check

clean:
	rm -rf .venv runs
