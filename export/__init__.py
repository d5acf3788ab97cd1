"""From the workstation to the line: one Keras model in, one self-describing ONNX file out, or none at all."""
