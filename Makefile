# The two commands that set everything up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
INPUTS := pyproject.toml constraints.txt

.PHONY: demo test demo-model demo-accuracy clean

demo: $(VENV)/runtime
	$(BIN)/edge-detect demo

test: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2 --dist loadgroup

# Everything in the bundled model comes from here: generated frames, ten rounds of training, export. Nine hours on 2 cores.
DEMO := edge_runtime/demo
SLIM := --product bangles --backbone vgg19-slim --width 0.1875 --input-size 192x256 --batch-size 8 --paste 0.4
ON := --product bangles --input-size 192x256 --batch-size 16 --learning-rate 2e-4 --paste 0.1 --head-epochs 0 \
    --augment rotate=0,shift=0,zoom=0,noise=0,blur=0
demo-model: $(VENV)/dev
	rm -rf runs/demo data/demo
	$(BIN)/python -m train.bangles data/demo/train1 --good 1500 --anomaly 1500 --seed 1
	$(BIN)/python -m train.bangles data/demo/train2 --good 1500 --anomaly 1500 --seed 11
	$(BIN)/python -m train data/demo/train1 -o runs/demo/1 $(SLIM) --warm-up 16 --epochs 14
	$(BIN)/python -m train data/demo/train2 -o runs/demo/2 $(SLIM) --seed 1 --epochs 7 --learning-rate 7e-4 --warm-up 0 \
	    --weights runs/demo/1/model.keras
	$(BIN)/python -m train.bangles data/demo/train3 --good 1500 --anomaly 1500 --seed 21
	$(BIN)/python -m train data/demo/train3 -o runs/demo/3 $(SLIM) --seed 2 --epochs 6 --learning-rate 7e-4 --paste 0.2 --warm-up 0 \
	    --weights runs/demo/2/model.keras
	$(BIN)/python -m train.bangles data/demo/train4 --good 1500 --anomaly 1500 --seed 31
	$(BIN)/python -m train data/demo/train4 -o runs/demo/4 $(SLIM) --seed 3 --epochs 11 --learning-rate 7e-4 --paste 0.2 --warm-up 0 \
	    --weights runs/demo/3/model.keras
	$(BIN)/python -m train.bangles data/demo/train5 --good 5000 --anomaly 5000 --seed 41
	$(BIN)/python -m train data/demo/train5 -o runs/demo/5 $(SLIM) --seed 5 --epochs 4 --learning-rate 3e-4 --paste 0.1 --warm-up 0 \
	    --validation 0.1 --augment rotate=0,shift=0,zoom=0,noise=0,blur=0 --weights runs/demo/4/model.keras
	$(BIN)/python -m export runs/demo/5 -o runs/demo/5.onnx  # BatchNorm folded away, which makes the next round five times as fast
	$(BIN)/python -m train.bangles data/demo/train6 --good 10000 --anomaly 10000 --seed 51
	$(BIN)/python -m train data/demo/train6 -o runs/demo/6 $(ON) --seed 6 --epochs 8 --validation 0.05 --weights runs/demo/5.onnx
	$(BIN)/python -m export runs/demo/6 -o runs/demo/6.onnx
	$(BIN)/python -m train.bangles data/demo/train7 --good 7000 --anomaly 7000 --seed 61 --pairs  # only the defect tells the two apart
	$(BIN)/python -m train data/demo/train7 -o runs/demo/7 $(ON) --seed 8 --epochs 8 --validation 0.07 --group '(\d+)\.jpg' --weights runs/demo/6.onnx
	$(BIN)/python -m export runs/demo/7 -o runs/demo/7.onnx
	$(BIN)/python -m train.bangles data/demo/train8 --good 12000 --anomaly 12000 --seed 71 --pairs
	$(BIN)/python -m train data/demo/train8 -o runs/demo/8 $(ON) --seed 9 --epochs 9 --validation 0.05 --group '(\d+)\.jpg' --weights runs/demo/7.onnx --width 0.25
	$(BIN)/python -m export runs/demo/8 -o runs/demo/8.onnx
	$(BIN)/python -m train.bangles data/demo/train9 --good 15000 --anomaly 15000 --seed 81 --pairs
	$(BIN)/python -m train data/demo/train9 -o runs/demo/9 $(ON) --seed 10 --epochs 14 --validation 0.05 --group '(\d+)\.jpg' --weights runs/demo/8.onnx \
	    --frozen-blocks 0 --hardest 0.3  # of every ten pairs it knows nine already
	$(BIN)/python -m export runs/demo/9 -o runs/demo/9.onnx
	$(BIN)/python -m train.bangles data/demo/train10 --good 15000 --anomaly 15000 --seed 91 --pairs
	$(BIN)/python -m train data/demo/train10 -o runs/demo/10 $(ON) --seed 11 --epochs 18 --validation 0.05 --group '(\d+)\.jpg' --weights runs/demo/9.onnx \
	    --frozen-blocks 0 --hardest 0.3
	$(BIN)/python -m export runs/demo/10 -o $(DEMO)/model.onnx --truth data/demo/train10/truth.json --mirrors both  # float: trainings go on from it
	$(BIN)/python -m train.bangles data/demo/show --good 3 --anomaly 5 --seed 3
	rm -rf $(DEMO)/frames && mkdir $(DEMO)/frames && cp data/demo/show/good/* data/demo/show/anomaly/* $(DEMO)/frames/
	$(MAKE) demo-accuracy

# What README and docs/accuracy.md say of the bundled model, on frames of a seed that nothing else uses.
demo-accuracy: $(VENV)/dev
	rm -rf data/demo/test data/demo/evaluation
	$(BIN)/python -m train.bangles data/demo/test --good 500 --anomaly 500 --seed 2
	$(BIN)/edge-detect evaluate data/demo/test -m $(DEMO)/model.onnx -o data/demo/evaluation --truth data/demo/test/truth.json --prove

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
