"""Render one frame, and know exactly which pixels its defects changed."""

from dataclasses import dataclass

import cv2
import numpy as np

from train.bangles.camera import Roi
from train.bangles.defects import KINDS, draw_kind, window
from train.bangles.fields import HEIGHT, WIDTH, Array, Rng
from train.bangles.scene import TRIM, Scene, draw_scene
from train.bangles.strip import COLUMNS

# Grey levels (0..255), before noise: what counts as changed, how strong the change must be on
# average, and how strong its best pixels must be in the frame shrunk to 256x192.
CHANGED, MEAN_FLOOR, SHRUNK_FLOOR = 7.0, 20.0, 30.0
SHRINK = 2.5
SHRUNK_PIXELS = 12
MASKING = 0.9  # a busy ornament hides a defect, so it must be stronger there
LONG_SIDE_PX = (24, 170)
AREA_FLOOR_PX = 260
WINDOW_PX = 110
ATTEMPTS = 60
PRODUCTS = 7


@dataclass(frozen=True, slots=True)
class Defect:
    """kind; mask: bool (480, 640), the changed pixels; box: (x0, y0, x1, y1) px, half-open, tight."""

    kind: str
    mask: Array
    box: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Picture:
    """image: uint8 (480, 640, 3) BGR before JPEG; defects: empty for a good frame."""

    image: Array
    defects: tuple[Defect, ...]


def render(seed: int, index: int, anomaly: bool) -> Picture:
    """Frame `index` of its class. Depends on the arguments only, never on how many frames there are."""
    scene_rng, defect_rng, noise_rng = _streams(seed, index, anomaly)
    scene = draw_scene(scene_rng, PRODUCTS)
    picture = scene.picture(scene.shaded)
    defects = _damage(scene, picture, defect_rng) if anomaly else ()
    return Picture(scene.camera.expose(picture, noise_rng), defects)


def render_untouched(seed: int, index: int) -> Array:
    """Anomalous frame `index` as it would be without its defects, the same noise included."""
    scene_rng, _, noise_rng = _streams(seed, index, True)
    scene = draw_scene(scene_rng, PRODUCTS)
    return scene.camera.expose(scene.picture(scene.shaded), noise_rng)


def _streams(seed: int, index: int, anomaly: bool) -> list[Rng]:
    """Independent generators for scene, defects and noise, so that a redrawn defect changes nothing else."""
    root = np.random.SeedSequence(seed, spawn_key=(int(anomaly), index))
    return [np.random.default_rng(child) for child in root.spawn(3)]


def _damage(scene: Scene, picture: Array, rng: Rng) -> tuple[Defect, ...]:
    """Put one or two defects into `picture`, in place, and say what they are."""
    wanted = 2 if rng.random() < 0.2 else 1
    shaded = scene.shaded.copy()
    defects: list[Defect] = []
    places: list[float] = []
    strength = rng.uniform(0.8, 1.7)
    for _ in range(ATTEMPTS):
        kind = draw_kind(rng, scene.strip)
        theta = _place(rng, scene, kind)
        if any(abs((theta - other + np.pi) % (2 * np.pi) - np.pi) < 1.1 for other in places):
            continue
        columns, fresh = _altered(scene, kind, theta, rng, strength)
        tried = shaded.copy()
        tried[:, columns % COLUMNS] = fresh
        roi = scene.camera.around(columns * (2 * np.pi / COLUMNS), scene.grid.radius)
        after = scene.picture(tried, roi)
        defect = _visible(kind, picture[roi], after, roi)
        if defect is None:
            strength = min(strength * 1.12, 2.5)
            continue
        shaded = tried
        picture[roi] = after
        defects.append(defect)
        places.append(theta)
        strength = rng.uniform(0.8, 1.7)
        if len(defects) == wanted:
            break
    if not defects:
        raise RuntimeError(f"no visible defect in {ATTEMPTS} attempts")
    return tuple(defects)


def _place(rng: Rng, scene: Scene, kind: str) -> float:
    """Angle of a defect in radians: anywhere, or at a stone."""
    if kind == "missing stone":
        return scene.strip.stones[rng.integers(len(scene.strip.stones))].theta
    return float(rng.uniform(0, 2 * np.pi))


def _altered(scene: Scene, kind: str, theta: float, rng: Rng, strength: float) -> tuple[Array, Array]:
    """A defect at `theta`: the (n,) columns it may touch and what these look like, (rows, n, 4)."""
    reach = round(WINDOW_PX / scene.grid.column_px)
    columns = np.arange(-reach, reach + 1) + round(theta * COLUMNS / (2 * np.pi))
    strip = KINDS[kind](rng, window(scene.strip, scene.grid, columns), strength)
    return columns[TRIM:-TRIM], scene.shade(strip, columns)


def _visible(kind: str, before: Array, after: Array, roi: Roi) -> Defect | None:
    """The defect as the pixels of `roi` that changed, or None if it is too faint, too small or too large."""
    difference = (after - before) * np.float32(255)
    change = np.abs(difference).mean(axis=-1)
    part = _clean((change > CHANGED).astype(np.uint8))
    if part.sum() < AREA_FLOOR_PX or change[part > 0].mean() < MEAN_FLOOR:
        return None
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[roi] = part
    x0, y0, wide, tall = cv2.boundingRect(mask)
    if not LONG_SIDE_PX[0] <= max(wide, tall) <= LONG_SIDE_PX[1]:
        return None
    shrunk_wh = (round(part.shape[1] / SHRINK), round(part.shape[0] / SHRINK))
    shrunk = np.abs(cv2.resize(difference, shrunk_wh, interpolation=cv2.INTER_AREA)).mean(axis=-1)
    floor = SHRUNK_FLOOR + MASKING * _busyness(before, part)
    if np.partition(shrunk.ravel(), -SHRUNK_PIXELS)[-SHRUNK_PIXELS] < floor:
        return None
    return Defect(kind, mask.astype(bool), (x0, y0, x0 + wide, y0 + tall))


def _busyness(picture: Array, part: Array) -> float:
    """Grey levels by which the intact ornament itself varies over the defect, seen in the shrunk frame."""
    grey = cv2.blur(picture, (3, 3)).mean(axis=-1)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 6)
    return float(fine[part > 0].std() * 255)


def _clean(raw: Array) -> Array:
    """Join what lies 3 px apart and drop crumbs under 8 px; uint8 like `raw`."""
    joined = cv2.morphologyEx(raw, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
    keep = stats[:, cv2.CC_STAT_AREA] >= 8
    keep[0] = False
    cleaned: Array = keep[labels].astype(np.uint8)
    return cleaned
