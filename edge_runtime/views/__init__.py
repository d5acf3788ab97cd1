"""What people look at."""

PICTURES = ("overlay", "panel", "input", "coarse", "heatmap", "cutout", "boxes", "heat")
"""The kinds of pictures; views/overlay.py draws them."""
