"""The workstation side: two folders of frames in, a Keras model and the record of its training out."""
