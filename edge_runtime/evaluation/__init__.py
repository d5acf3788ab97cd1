"""How many defects slip through, and does the heat lie on them? Needs scikit-learn: the extra `evaluate`."""
