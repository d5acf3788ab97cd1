"""How fast is a model on this PC? What `edge-detect benchmark` and benchmarks/ measure with."""
