"""edge-detect on the line: verdict, exact explanation and boxes from one ONNX file."""

import os

__version__ = "0.1.0"

# OpenCV reads its limit when it is imported: an image header that promises more pixels is refused
# before memory is set aside for it. 134 megapixels is beyond every inspection camera.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(2**27))

# onnxruntime reads this when it is imported, and otherwise keeps a record of its use in the home folder.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
