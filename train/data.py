"""Two folders of frames -> labelled frames, split so that what is validated was never trained on."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from sklearn.model_selection import StratifiedGroupKFold

from edge_runtime import frames
from edge_runtime.errors import FrameError, UsageError
from edge_runtime.preprocess import prepare
from edge_runtime.results import Array, Image
from edge_runtime.stored import from_json
from train.cues import measure

MIN_PER_CLASS = 5
FOLDS = 20
"""Steps in which the share of validation frames can be chosen, where there are groups enough."""
LABELS = ("good", "anomaly")


class LabelledFrame(Struct, frozen=True, kw_only=True):
    """One frame of the training data. path: relative to the data folder; label: 0 good, 1 anomaly."""

    path: str
    label: int
    sha256: str


class Split(Struct, frozen=True, kw_only=True):
    """Which frames were trained on and which only validated; RUN/split.json. left_out: on the training's side, but too easy to learn from.
    learned_before: sha256 of the frames that the network in --weights had learned from, in any training; learned_before_is_all: whether those
    are all, which an exported file does not tell."""

    root: str
    train: tuple[LabelledFrame, ...]
    validation: tuple[LabelledFrame, ...]
    left_out: tuple[LabelledFrame, ...] = ()
    learned_before: tuple[str, ...] = ()
    learned_before_is_all: bool = False


@dataclass(frozen=True, slots=True)
class Samples:
    """frames[i] with its prepared image images[i]: (n, h, w, 3) uint8 BGR."""

    frames: tuple[LabelledFrame, ...]
    images: Image

    @property
    def labels(self) -> np.typing.NDArray[np.int64]:
        return np.array([frame.label for frame in self.frames], np.int64)

    def pick(self, chosen: Iterable[LabelledFrame]) -> "Samples":
        row = {frame.path: index for index, frame in enumerate(self.frames)}
        wanted = tuple(chosen)
        return Samples(wanted, self.images[[row[frame.path] for frame in wanted]])


def class_folders(root: Path) -> tuple[list[Path], list[Path]]:
    """(good folders, anomaly folders) under the data folder.

    Understood: `good/` + `anomaly/`; the same under `train/`; the MVTec layout, where `train/good` and
    `test/good` are good and every other `test/<defect>` is an anomaly. Raises UsageError.
    """
    if not root.is_dir():
        raise UsageError(f"{root}: no such folder")
    for base in (root, root / "train"):
        if (base / "good").is_dir() and (base / "anomaly").is_dir():
            return [base / "good"], [base / "anomaly"]
    if (root / "train" / "good").is_dir() and (root / "test").is_dir():
        tests = sorted(
            folder for folder in (root / "test").iterdir() if folder.is_dir() and not folder.name.startswith(".")
        )
        good = [root / "train" / "good", *(folder for folder in tests if folder.name == "good")]
        return good, [folder for folder in tests if folder.name != "good"]
    names = sorted(entry.name for entry in root.iterdir())
    found = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "") or "nothing"
    raise UsageError(
        f"{root}: expected the folders good/ and anomaly/ (or train/good and test/<defect>), found {found}"
    )


def load(root: Path, input_hw: tuple[int, int], progress: Callable[[int, int], None]) -> tuple[Samples, Array]:
    """Read and prepare every frame, and measure its trivial cues, (n, len(CUES)).

    Raises UsageError for frames that can't be read, too few frames
    in a class, or one picture in both classes; each message names the files."""
    root = Path(os.path.abspath(root))
    if frames.printable(str(root)) != str(root):
        raise UsageError(f"{frames.printable(str(root))}: is a path that is no UTF-8; rename the folder")
    files = [
        (file, label)
        for label, folders in enumerate(class_folders(root))
        for folder in folders
        for file in frames.find([str(folder)]).files
    ]
    counts = Counter(label for _, label in files)
    for label, name in enumerate(LABELS):
        if counts[label] < MIN_PER_CLASS:
            raise UsageError(
                f"{root}: {counts[label]} {name} frames; at least {MIN_PER_CLASS} are needed to learn from"
            )

    def one(item: tuple[frames.FrameFile, int]) -> tuple[LabelledFrame, Image, Array] | str:
        file, label = item
        try:
            data = frames.read_bytes(file.path)
            image, _ = frames.decode_for(data, input_hw)
        except FrameError as err:
            return f"{file.path} {err}"
        path = file.path.relative_to(root).as_posix()
        if frames.printable(path) != path:
            return f"{frames.printable(path)} has a name that is no UTF-8"
        labelled = LabelledFrame(path=path, label=label, sha256=hashlib.sha256(data).hexdigest())
        return labelled, prepare(image, input_hw), measure(file.path.name, data, image)

    loaded: list[tuple[LabelledFrame, Image, Array]] = []
    broken: list[str] = []
    with ThreadPoolExecutor() as pool:
        for done, result in enumerate(pool.map(one, files), 1):
            broken.append(result) if isinstance(result, str) else loaded.append(result)
            progress(done, len(files))
    if broken:
        raise UsageError(_listed(f"{_several(len(broken), 'frame')} can't be used; repair or remove them", broken))
    labelled, images, cues = zip(*loaded, strict=True)
    _refuse_contradictions(labelled)
    return Samples(labelled, np.stack(images)), np.stack(cues)


def _refuse_contradictions(labelled: Sequence[LabelledFrame]) -> None:
    by_content: dict[str, list[LabelledFrame]] = {}
    for frame in labelled:
        by_content.setdefault(frame.sha256, []).append(frame)
    both = [
        " = ".join(frame.path for frame in same)
        for same in by_content.values()
        if len({frame.label for frame in same}) > 1
    ]
    if both:
        raise UsageError(
            _listed(f"the same file as good and as anomaly, {_several(len(both), 'time')}; decide each", both)
        )


def _several(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"


def _listed(what: str, items: Sequence[str], limit: int = 10) -> str:
    more = [f"... and {len(items) - limit} more"] if len(items) > limit else []
    return "\n  ".join([f"{what}:", *items[:limit], *more])


def split(labelled: Sequence[LabelledFrame], root: Path, share: float, group: str | None, seed: int) -> Split:
    """Stratified split; frames of one group, and frames with the same content, stay on one side.

    group: regular expression searched in each frame's path; its first group that matches, or else the whole match,
    names the group (a part, a place, a sequence). share: of the frames to validate on, in (0, 0.5].
    Raises UsageError.
    """
    groups = name_groups(labelled, group)
    labels = np.array([frame.label for frame in labelled])
    fewest, label = min((len(set(np.array(groups)[labels == label])), label) for label in (0, 1))
    if fewest < 2:
        what = "are copies of one picture" if group is None else f"belong to one group of --group {group!r}"
        raise UsageError(f"all {LABELS[label]} frames {what}; two are needed to hold one back")
    folds = min(FOLDS, fewest)
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    held_out = [part for _, part in splitter.split(labels, labels, groups)][: max(1, round(share * folds))]
    validation = set(np.concatenate(held_out).tolist())
    result = Split(
        root=os.path.abspath(root),
        train=tuple(frame for index, frame in enumerate(labelled) if index not in validation),
        validation=tuple(frame for index, frame in enumerate(labelled) if index in validation),
    )
    for side, part in (("training", result.train), ("validation", result.validation)):
        missing = {0, 1} - {frame.label for frame in part}
        if missing:
            raise UsageError(
                f"the {side} side of the split has no {LABELS[missing.pop()]} frames: use more groups or another --seed"
            )
    return result


def name_groups(labelled: Sequence[LabelledFrame], group: str | None) -> list[str]:
    """The group of every frame; see `split`. Raises UsageError."""
    if group is None:
        return [frame.sha256 for frame in labelled]
    try:
        pattern = re.compile(group)
    except re.error as err:
        raise UsageError(f"--group {group!r} is no regular expression: {err}") from None
    found = [pattern.search(frame.path) for frame in labelled]
    unmatched = [frame.path for frame, match in zip(labelled, found, strict=True) if match is None]
    if unmatched:
        raise UsageError(_listed(f"--group {group!r} does not match {len(unmatched)} frames", unmatched))
    names = [next((name for name in match.groups() if name is not None), match.group()) for match in found if match]
    _refuse_copies_across(labelled, names, group)
    return names


def _refuse_copies_across(labelled: Sequence[LabelledFrame], names: Sequence[str], group: str) -> None:
    """One picture in two groups could be trained on and validated with."""
    first: dict[str, tuple[str, str]] = {}
    copies = []
    for frame, name in zip(labelled, names, strict=True):
        path, earlier = first.setdefault(frame.sha256, (frame.path, name))
        if earlier != name:
            copies.append(f"{path} = {frame.path}")
    if copies:
        raise UsageError(
            _listed(
                f"{len(copies)} frames are copies of a frame in another group of --group {group!r}; remove them", copies
            )
        )


def reuse(labelled: Sequence[LabelledFrame], root: Path, file: Path) -> Split:
    """The split of an earlier training, for the same frames, wherever they lie now. Raises UsageError where they are not
    the same."""
    earlier = _read_split(file)
    here, there = set(labelled), {*earlier.train, *earlier.left_out, *earlier.validation}
    if here != there:
        raise UsageError(
            f"{file}: is of other frames: {len(here - there)} new, renamed or changed, {len(there - here)} missing; "
            "restore them, or train anew without it"
        )
    return replace(earlier, root=os.path.abspath(root))


def extend(labelled: Sequence[LabelledFrame], root: Path, file: Path, share: float, group: str | None) -> Split:
    """The split of an earlier training, with frames that have come since: a frame stays on its side, new ones of a known group
    join it, and of new groups about `share` are validated on, each chosen by its name alone. Raises UsageError."""
    known = _read_split(file)
    sides = dict.fromkeys((*known.train, *known.left_out), 0) | dict.fromkeys(known.validation, 1)
    if gone := len(sides.keys() - set(labelled)):
        raise UsageError(
            f"{file}: {gone} of its frames are missing, renamed or changed; restore them, or train anew without it"
        )
    groups = name_groups(labelled, group)
    side_of: dict[str, int] = {}
    for frame, name in zip(labelled, groups, strict=True):
        if frame in sides and side_of.setdefault(name, sides[frame]) != sides[frame]:
            kind = f"--group {group!r}" if group else "copies of one picture"
            raise UsageError(
                f"{file}: has frames of one group on both sides ({kind}, {name}), so they were not kept apart; train anew without --split"
            )
    parts: tuple[list[LabelledFrame], list[LabelledFrame]] = ([], [])
    for frame, name in zip(labelled, groups, strict=True):
        by_chance = hashlib.sha256(name.encode()).digest()[0] < 256 * share
        parts[sides.get(frame, side_of.get(name, int(by_chance)))].append(frame)
    return Split(root=os.path.abspath(root), train=tuple(parts[0]), validation=tuple(parts[1]))


def file_sha256(path: Path) -> str:
    """Raises UsageError."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as err:
        raise UsageError(f"{path}: can't be read: {err.strerror}") from None


def _read_split(file: Path) -> Split:
    try:
        return from_json(file.read_bytes(), Split)
    except OSError as err:
        raise UsageError(f"{file}: {err.strerror}; expected the split.json of an earlier training") from None
    except ValueError:
        raise UsageError(f"{file}: is no split.json of an earlier training") from None
