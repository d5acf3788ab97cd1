"""Random changes that leave the label true: position, light, focus, noise. In the data pipeline, never in the model.

But for a defect within a few pixels of the edge, which may be moved out of the frame: docs/training.md.
"""

from dataclasses import dataclass, fields, replace

import cv2
import numpy as np

from edge_runtime.errors import UsageError
from edge_runtime.results import Image

SHARES = frozenset({"shift", "zoom", "gain"})


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far a training frame may be changed; 0 or False switches a change off.

    rotate: degrees. shift: share of the side. zoom: share. gain: share of the contrast. offset: grey
    levels. noise: standard deviation in grey levels. blur: sigma in input pixels.
    """

    flip_horizontal: bool = True
    flip_vertical: bool = True
    rotate: float = 10.0
    shift: float = 0.06
    zoom: float = 0.10
    gain: float = 0.15
    offset: float = 12.0
    noise: float = 3.0
    blur: float = 0.7

    def move(self, image: Image, rng: np.random.Generator) -> Image:
        """Rotate, zoom, shift, mirror: (h, w, 3) uint8 BGR -> a copy of the same shape."""
        height, width = image.shape[:2]
        angle, zoom = rng.uniform(-self.rotate, self.rotate), 1 + rng.uniform(-self.zoom, self.zoom)
        matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), angle, zoom)
        matrix[0, 2] += rng.uniform(-self.shift, self.shift) * width
        matrix[1, 2] += rng.uniform(-self.shift, self.shift) * height
        moved = cv2.warpAffine(
            image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        if self.flip_horizontal and rng.random() < 0.5:
            moved = moved[:, ::-1]
        if self.flip_vertical and rng.random() < 0.5:
            moved = moved[::-1]
        return np.ascontiguousarray(moved, np.uint8)

    def light(self, image: Image, rng: np.random.Generator) -> Image:
        """Contrast, brightness, focus, noise: (h, w, 3) uint8 BGR -> a copy of the same shape."""
        gain, offset = 1 + rng.uniform(-self.gain, self.gain), rng.uniform(-self.offset, self.offset)
        sigma = rng.uniform(0, self.blur)
        lit = np.asarray(image * np.float32(gain) + np.float32(offset), np.float32)
        if sigma > 0.2:  # narrower than that, the kernel is a single pixel
            lit = np.asarray(cv2.GaussianBlur(lit, (0, 0), sigma), np.float32)
        lit += rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(0, self.noise))
        return np.asarray(np.clip(lit, 0, 255), np.uint8)


def listed() -> str:
    """Every change with its default."""
    defaults = Augmentation()
    values = {field.name: getattr(defaults, field.name) for field in fields(Augmentation)}
    return ", ".join(
        f"{name}={('yes' if value else 'no') if isinstance(value, bool) else f'{value:g}'}"
        for name, value in values.items()
    )


def adjusted(settings: str, flip: bool = True) -> Augmentation:
    """`rotate=0,noise=5,flip_vertical=no` -> the defaults with these changes. flip: False switches both flips off.
    Raises UsageError, which lists all changes."""
    augmentation = Augmentation() if flip else Augmentation(flip_horizontal=False, flip_vertical=False)
    for setting in filter(None, settings.split(",")):
        name, _, value = (part.strip().replace("-", "_") for part in setting.partition("="))
        try:
            is_switch = isinstance(getattr(augmentation, name), bool)
            number = {"yes": True, "no": False}[value] if is_switch else float(value)
            if not 0 <= number < (1 if name in SHARES else 256):
                raise ValueError(value)
            augmentation = replace(augmentation, **{name: number})  # type: ignore[arg-type]  # checked by its default
        except (AttributeError, KeyError, TypeError, ValueError):
            raise UsageError(f"--augment {setting}: expected NAME=VALUE, of {listed()}") from None
    return augmentation
