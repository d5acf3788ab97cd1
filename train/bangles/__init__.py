"""Pictures of bangles on an inspection table, with and without defects, made from nothing but a seed."""

from train.bangles.folder import generate
from train.bangles.picture import Defect, Picture, render, render_untouched

__all__ = ["Defect", "Picture", "generate", "render", "render_untouched"]
