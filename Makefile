# make demo: train, measure and report on bundled digits.  make test: every check.
TORCH ?= torch==2.13.0
# without CUDA, which takes gigabytes: for the demo, on machines that have the processor alone
TORCH_CPU ?= $(TORCH) --extra-index-url https://download.pytorch.org/whl/cpu --retries 1
PYTHON ?= python3
BIN := .venv/bin
# real data for the tests marked `data`, where it lies beside the project
ifneq ($(wildcard ../shared/data),)
export IIAE_DATA ?= $(abspath ../shared/data)
endif

# what developers set up will do for the demo too
DEMO := $(firstword $(wildcard .venv/ready) .venv/demo)

.PHONY: setup demo test clean

setup: .venv/ready

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet '$(TORCH)'
	$(BIN)/pip install --quiet -e '.[dev]'
	touch $@

.venv/demo: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-compile --no-deps $(TORCH_CPU)
	$(BIN)/pip install --quiet --no-compile -e '.[report,sklearn,search,web]'
	cd .venv/lib/python*/site-packages/torch && rm -rf test $$(ls -d bin/* | grep -v shm)  # torch's own tests
	touch $@

demo: $(DEMO)
	$(BIN)/iiae demo --out runs/demo --overwrite

test: setup
	PATH="$(abspath $(BIN)):$$PATH" scripts/check

clean:
	rm -rf .venv runs
