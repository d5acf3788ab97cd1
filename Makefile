# The two commands that set everything up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
INPUTS := pyproject.toml constraints.txt

.PHONY: demo test demo-model clean

demo: $(VENV)/runtime
	$(BIN)/edge-detect demo

test: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2 --dist loadgroup

# Everything in the bundled model comes from here: generated frames, training, export.
demo-model: $(VENV)/dev
	PYTHON=$(BIN)/python bash edge_runtime/demo/make.sh

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; say which with make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

# opencv-python needs libGL, which machines without a desktop lack; its headless twin is the same code without windows.
$(VENV)/runtime: $(BIN)/python $(INPUTS)
	$(PIP) install -c constraints.txt -e .
	$(BIN)/python -c 'import cv2' 2>/dev/null || $(PIP) install -c constraints.txt --force-reinstall --no-deps opencv-python-headless
	$(BIN)/python -c 'import cv2'
	touch $@

$(VENV)/dev: $(VENV)/runtime
	$(PIP) install -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
