from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from msgspec import structs

from edge_runtime import cam
from edge_runtime.errors import FrameError, ModelError
from edge_runtime.golden import replay
from edge_runtime.inspector import Inspector
from edge_runtime.manifest import METADATA_KEY, Golden
from edge_runtime.model import Model
from edge_runtime.onnx_file import seal
from edge_runtime.results import Box, Frame, Image, Verdict
from edge_runtime.stored import to_json
from tests import tiny


def frame(source: str, image: Image) -> Frame:
    return Frame(source, "0", image, (image.shape[1], image.shape[0]))


def test_the_hash_is_that_of_the_file(tiny_model: Path) -> None:
    import hashlib

    assert Model.load(tiny_model).sha256 == hashlib.sha256(tiny_model.read_bytes()).hexdigest()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_verdict_and_the_box_do_not_depend_on_the_sign_of_the_head(sign: float) -> None:
    inspector = Inspector(Model.from_bytes(tiny.model(sign=sign)))
    anomaly, judgement = inspector.inspect(frame("a.png", tiny.frame()))
    assert anomaly.verdict is Verdict.ANOMALY
    assert [defect.box for defect in anomaly.defects] == [Box(*tiny.BOX)]
    assert judgement.maps.coarse.max() == pytest.approx(130, abs=0.1)
    assert anomaly.residual is not None and anomaly.residual < 1e-3
    assert inspector.inspect(frame("b.png", tiny.frame(None)))[0].verdict is Verdict.GOOD


def test_one_frame_or_many_at_once_give_the_same_answers() -> None:
    model = Model.from_bytes(tiny.model())
    images = np.random.default_rng(0).integers(0, 256, (5, *tiny.INPUT_HW, 3), np.uint8)
    for one, image in zip(model.predict(images), images, strict=True):
        (alone,) = model.predict(image[np.newaxis])
        assert np.allclose(one.logits, alone.logits, atol=1e-4) and np.allclose(
            one.activations, alone.activations, atol=1e-4
        )


def with_initializer(name: str, value: list[object]) -> bytes:
    proto = onnx.load_from_string(tiny.model())
    next(w for w in proto.graph.initializer if w.name == name).CopyFrom(
        onnx.numpy_helper.from_array(np.array(value, np.float32), name)
    )
    return seal(proto.SerializeToString())


def test_an_answer_that_is_not_finite_is_no_verdict() -> None:
    inspector = Inspector(Model.from_bytes(with_initializer("bias", [np.nan, 0, 0])))
    with pytest.raises(FrameError, match="no finite answer"):
        inspector.inspect(frame("a.png", tiny.frame()))


def test_a_fine_map_that_is_not_finite_is_no_explanation() -> None:
    inspector = Inspector(Model.from_bytes(with_initializer("fine_offset", [np.nan])))
    with pytest.raises(FrameError, match="misses its margin"):
        inspector.inspect(frame("a.png", tiny.frame()))


def test_a_map_that_does_not_add_up_to_the_margin_is_no_verdict() -> None:
    """The head the file shows is not the head the network used."""
    proto = onnx.load_from_string(tiny.model())
    shown = np.array([[1.01], [0], [0]], np.float32)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(shown, "shown"))
    next(node for node in proto.graph.node if node.output[0] == "dense_weights").input[0] = "shown"
    with pytest.raises(FrameError, match="misses its margin"):
        Inspector(Model.from_bytes(seal(proto.SerializeToString()))).inspect(frame("a.png", tiny.frame()))
    approximate = onnx.load_from_string(proto.SerializeToString())
    approximate.metadata_props[0].value = to_json(tiny.manifest(wiring="full", explanation="approximate"))
    inspection, _ = Inspector(Model.from_bytes(seal(approximate.SerializeToString()))).inspect(
        frame("a.png", tiny.frame())
    )
    assert inspection.residual is None


def test_golden_frames_pass_here_and_a_drift_is_refused() -> None:
    assert [line.split()[0] for line in replay(Model.from_bytes(tiny.model()))] == ["ok"]
    drifted = with_initializer("output_bias.", [5.1, -5.1])
    with pytest.raises(ModelError, match="other answers than the export"):
        list(replay(Model.from_bytes(drifted)))


def test_the_start_of_a_line_replays_one_anomaly_with_a_second_engine_a_good_frame_too_and_a_check_all() -> None:
    right = tiny.golden()
    good = structs.replace(right, label="good")  # whatever it shows: the label only chooses
    wrong = structs.replace(right, boxes_xyxy=((0, 0, 16, 16),))
    drifted = structs.replace(good, logits=(9.0, -9.0))

    def file(*golden: Golden) -> Model:
        return Model.from_bytes(tiny.model(tiny.manifest(golden=golden)))

    def with_second_engine(model: Model) -> Model:
        return replace(model, forward=model.session)

    three, other_good = file(good, right, wrong), file(drifted, right)
    asked = [
        replay(three, whole=False),
        replay(with_second_engine(three), whole=False),
        replay(other_good, whole=False),
    ]
    assert [[line.split()[3] for line in lines] for lines in asked] == [["2"], ["1", "2"], ["2"]]
    for model, whole in (
        (three, True),
        (file(good, wrong, right), False),
        (file(drifted), False),
        (with_second_engine(other_good), False),
    ):
        with pytest.raises(ModelError, match="other answers than the export"):
            list(replay(model, whole))


def test_the_metadata_is_where_others_look_for_it() -> None:
    assert METADATA_KEY == "edge_detect"
    assert Model.from_bytes(tiny.model()).manifest == tiny.manifest()


def test_a_threshold_of_the_user_wins() -> None:
    bright = frame("a.png", tiny.frame())
    inspection, judgement = Inspector(Model.from_bytes(tiny.model()), threshold=1.0).inspect(bright)
    assert (inspection.verdict, inspection.threshold, inspection.defects) == (Verdict.GOOD, 1.0, ())
    assert cam.heat(judgement.maps.coarse, tiny.SCALE).max() == 1
    assert judgement.maps.fine is None


def test_a_map_that_is_not_finite_is_no_explanation() -> None:
    model = Model.from_bytes(tiny.model())
    (found,) = model.predict(tiny.frame()[np.newaxis], -np.inf)
    assert found.fine is not None
    endless = np.where(found.fine.cam == found.fine.cam.max(), np.inf, found.fine.cam)
    with pytest.raises(FrameError, match="misses its margin"):
        Inspector(model).judge(replace(found, fine=replace(found.fine, cam=endless)))
