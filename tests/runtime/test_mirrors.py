"""A frame is asked together with its mirror images: what the mean of the answers promises."""

import math
from typing import get_args

import numpy as np
import pytest

from edge_runtime.inspector import Inspector
from edge_runtime.mirrors import AXES, Axes, Mirrors
from edge_runtime.results import Array, Image, Prediction, Verdict
from tests import bundled


@pytest.fixture(scope="module")
def images() -> Image:
    return bundled.images()


def image_of(images: Image, axes: Axes) -> Image:
    """The mirror images of frames (N, h, w, 3)."""
    return np.ascontiguousarray(np.flip(images, tuple(axis + 1 for axis in axes)))


def margin(answer: Prediction) -> float:
    return float(answer.logits[1] - answer.logits[0])


def close(a: Array, b: Array) -> bool:
    return bool(np.abs(a - b).max() <= 1e-4 * max(1.0, float(np.abs(b).max())))


@pytest.mark.parametrize("mirrors", get_args(Mirrors))
def test_the_answer_is_the_mean_of_the_answers_to_each_image(mirrors: Mirrors, images: Image) -> None:
    single = bundled.model("none")
    each = [single.predict(image_of(images[:1], axes)) for axes in AXES[mirrors]]
    (found,) = bundled.model(mirrors).predict(images[:1])
    assert len(each) == {"none": 1, "horizontal": 2, "vertical": 2, "both": 4}[mirrors]
    assert margin(found) == pytest.approx(np.mean([margin(one) for (one,) in each]), rel=1e-4)


@pytest.mark.parametrize(
    ("mirrors", "axes"), [(mirrors, axes) for mirrors, each in AXES.items() for axes in each if axes]
)
def test_a_mirrored_frame_gets_the_same_verdict_and_the_mirrored_maps(
    mirrors: Mirrors, axes: Axes, images: Image
) -> None:
    model = bundled.model(mirrors)
    turned = image_of(images, axes)
    for one, other in zip(model.predict(images, -math.inf), model.predict(turned, -math.inf), strict=True):
        assert one.fine is not None and other.fine is not None
        assert margin(one) == pytest.approx(margin(other), rel=1e-4, abs=1e-3)
        assert close(np.flip(other.activations, axes), one.activations)
        assert close(np.flip(other.fine.cam, axes), one.fine.cam)
        assert one.fine.activations is not None and other.fine.activations is not None
        assert close(np.flip(other.fine.activations, axes), one.fine.activations)


@pytest.mark.parametrize("mirrors", ["horizontal", "vertical", "both"])
def test_the_explanation_of_the_mean_adds_up(mirrors: Mirrors, images: Image) -> None:
    inspector = Inspector(bundled.model(mirrors), explain_all=True)
    for answer in inspector.model.predict(images, -math.inf):
        judged = inspector.judge(answer)  # raises where a map does not add up
        assert judged.residual is not None and judged.account is not None
        assert (judged.verdict is Verdict.ANOMALY) == bool(judged.defects)


def test_a_frame_is_explained_where_the_mean_reaches_what_was_asked_for(images: Image) -> None:
    """Whatever its images say by themselves."""
    model, single = bundled.model("both"), bundled.model("none")
    mixed = 0
    for at in range(len(images)):
        image = images[at : at + 1]
        each = [margin(single.predict(image_of(image, axes))[0]) for axes in AXES["both"]]
        middle = margin(model.predict(image)[0])
        mixed += min(each) < middle - 1e-2 and max(each) > middle + 1e-2
        assert model.predict(image, middle - 1e-2)[0].fine is not None
        assert model.predict(image, middle + 1e-2)[0].fine is None
    assert mixed == len(images), "no image of a frame alone is on the other side"


def test_a_batch_gets_what_each_of_its_frames_gets(images: Image) -> None:
    model = bundled.model("both")
    for together, alone in zip(
        model.predict(images, -math.inf),
        [model.predict(image[np.newaxis], -math.inf)[0] for image in images],
        strict=True,
    ):
        assert together.fine is not None and alone.fine is not None
        assert margin(together) == pytest.approx(margin(alone), rel=1e-4, abs=1e-3)
        assert close(together.fine.cam, alone.fine.cam)


def test_each_image_is_a_sign_of_life(images: Image) -> None:
    """A frame that shows none for a while is taken for one that hangs."""
    signs: list[None] = []
    bundled.model("both").predict(images[:1], alive=lambda: signs.append(None))
    assert len(signs) == 4
