"""The workstation side: two folders of frames in, a Keras model and the record of its training out."""

import os

# For TensorFlow, before it is loaded. It leaves oneDNN out on processors without AVX-512 VNNI, where a training step takes a third
# less time with it, too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
