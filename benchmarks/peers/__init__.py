"""The same frames and the same weights, through what people use."""
