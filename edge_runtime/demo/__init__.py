"""A small model trained by this repository's own code on its own generated bangles, and a few frames."""
