"""Two folders in, one file across, verdicts out: the real commands, at sizes a test can afford."""

import base64
import json
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import onnx
import pytest
from msgspec.structs import replace

from edge_runtime import inspector, usual
from edge_runtime.errors import OutputError, UsageError
from edge_runtime.frames import decode
from edge_runtime.model import Model
from edge_runtime.preprocess import prepare
from edge_runtime.results import Image
from edge_runtime.stored import to_dict, to_json
from export import __main__ as command
from export import convert, intake, precision
from export.__main__ import main as export
from export.options import Precision, refuse_unknown
from export.parity import ParityError
from tests.conftest import Run
from tests.runtime.test_hostile_models import otherwise
from tests.tiny import write_frames
from tests.train.test_vgg import published_file
from train import run as runs_of
from train.augment import Augmentation

KINDS = {
    "slim": ["--backbone", "vgg19-slim", "--width", "0.06", "--input-size", "64x96", "--epochs", "3"],
    "full wiring": [
        "--backbone",
        "vgg19-slim",
        "--width",
        "0.06",
        "--wiring",
        "full",
        "--input-size",
        "64x96",
        "--epochs",
        "2",
    ],
    "vgg19": [
        "--backbone",
        "vgg19",
        "--weights",
        "FILE",
        "--input-size",
        "32x48",
        "--epochs",
        "1",
        "--validation",
        "0.5",
    ],
}


@pytest.fixture(scope="session")
def bangles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from train.bangles import generate

    out = tmp_path_factory.mktemp("data") / "bangles"
    generate(out, good=16, anomaly=12, seed=11)
    return out


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def trained(kind: str, bangles: Path, runs: Path, module: Run) -> Path:
    """RUN of one training per session and kind."""
    run = runs / kind
    if not run.exists():
        weights = runs / "notop.h5"
        if "FILE" in KINDS[kind] and not weights.exists():
            published_file(weights, scale=0.02)
        options = [str(weights) if option == "FILE" else option for option in KINDS[kind]]
        done = module("train", bangles, "-o", run, "--batch-size", "4", "--warm-up", "0", *options)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1])["model"] == str(run / "model.keras")
    return run


@pytest.mark.xdist_group("export")
@pytest.mark.parametrize("kind", KINDS)
def test_from_two_folders_to_verdicts(
    kind: str, bangles: Path, runs: Path, module: Run, edge_detect: Run, tmp_path: Path
) -> None:
    run = trained(kind, bangles, runs, module)
    part = tmp_path / "part.onnx"
    done = module("export", run / "model.keras", "-o", part)
    assert done.returncode == 0, done.stderr
    parity = json.loads(done.stdout.splitlines()[-1])["parity"]
    assert parity["logits"] <= 1e-3 and parity["cam"] <= 1e-3 and parity["box_iou"] >= 0.99 and parity["flips"] == 0

    manifest = Model.load(part).manifest
    recorded = json.loads((run / "run.json").read_text())
    assert manifest.wiring == ("full" if kind == "full wiring" else "exact")
    assert manifest.explanation == ("approximate" if kind == "full wiring" else "exact")
    asked = recorded["settings"]
    assert [manifest.training.data_sha256, list(manifest.input_hw)] == [asked["data_sha256"], asked["input_hw"]]
    assert manifest.parity.frames == len(json.loads((run / "split.json").read_text())["validation"])
    assert {golden.label for golden in manifest.golden} == {"good", "anomaly"}
    whole = {path.read_bytes() for path in (bangles / "anomaly").iterdir()}  # 640 x 480: resized at every check
    assert all(base64.b64decode(golden.png) in whole for golden in manifest.golden[1:])

    assert edge_detect("check", part).returncode == 0
    done = edge_detect(bangles / "good", bangles / "anomaly", "-m", part, "-o", "out", "--exit-zero")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert len(rows) == 28 and {row["verdict"] for row in rows} <= {"good", "anomaly"}
    if kind == "full wiring":
        assert all(row["residual"] is None for row in rows)
    else:
        assert all(row["residual"] <= 1e-3 * max(1, abs(row["margin"])) for row in rows)


@pytest.mark.xdist_group("export")
@pytest.mark.parametrize(("unusual", "verdicts"), [("error", {"error"}), ("judge", {"good", "anomaly"})])
def test_what_looks_like_no_frame_is_judged_only_where_that_is_asked_for(
    unusual: str, verdicts: set[str], bangles: Path, runs: Path, module: Run, edge_detect: Run, tmp_path: Path
) -> None:
    part = tmp_path / "part.onnx"
    done = module("export", trained("slim", bangles, runs, module), "-o", part, "--unusual", unusual)
    assert done.returncode == 0, done.stderr
    light = {"dark.png": np.zeros((480, 640, 3), np.uint8), "bright.png": np.full((480, 640, 3), 255, np.uint8)}
    write_frames(tmp_path / "frames", light)
    edge_detect("frames", "-m", part, "-o", "out")
    rows = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert len(rows) == 2 and {row["verdict"] for row in rows} <= verdicts


@pytest.mark.xdist_group("export")
def test_a_file_may_ask_mirror_images_too(
    bangles: Path, runs: Path, module: Run, edge_detect: Run, tmp_path: Path
) -> None:
    """Compared with the trained model, which is asked them, too; calibrated on, and golden frames recorded with, their means."""
    run = trained("slim", bangles, runs, module)
    done = module("export", run, "-o", tmp_path / "part.onnx", "--mirrors", "both")
    assert done.returncode == 0, done.stderr
    assert "mirror images  both" in edge_detect("info", tmp_path / "part.onnx").stdout
    assert edge_detect("check", tmp_path / "part.onnx").returncode == 0
    picture = prepare(decode(next((bangles / "good").iterdir()).read_bytes()), (64, 96))  # nothing to resize
    rows = []
    for name, image in (("as it is", picture), ("mirrored", np.ascontiguousarray(picture[::-1, ::-1]))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
        row = edge_detect(tmp_path / f"{name}.png", "-m", tmp_path / "part.onnx", "-o", name, "--json", "--exit-zero")
        rows.append(json.loads(row.stdout))
    assert rows[0]["margin"] == pytest.approx(rows[1]["margin"], rel=1e-3, abs=1e-4)


def test_mirror_images_that_no_training_has_shown_are_refused() -> None:
    learned = Augmentation(flip_vertical=False)
    refuse_unknown("none", learned)
    refuse_unknown("horizontal", learned)
    for mirrors in ("vertical", "both"):
        with pytest.raises(UsageError, match="not learned from frames mirrored vertically, as"):
            refuse_unknown(mirrors, learned)


@pytest.mark.xdist_group("export")
def test_the_threshold_serves_the_users_terms(
    bangles: Path, runs: Path, module: Run, edge_detect: Run, tmp_path: Path
) -> None:
    run = trained("slim", bangles, runs, module)
    found = {}
    for terms in (["--max-false-rejects", "0%"], ["--cost-escape", "1000"], []):
        done = module("export", run / "model.keras", "-o", tmp_path / "part.onnx", *terms)
        assert done.returncode == 0, done.stderr
        calibration = json.loads(done.stdout)["calibration"]
        found[" ".join(terms)] = calibration
        assert f"{calibration['escapes']} miss" in done.stderr and "at 95 % confidence" in done.stderr
        assert to_dict(Model.load(tmp_path / "part.onnx").manifest.calibration) == calibration
    assert found["--max-false-rejects 0%"]["false_rejects"] == 0
    assert found["--cost-escape 1000"]["escapes"] == 0
    assert found["--cost-escape 1000"]["threshold"] < found["--max-false-rejects 0%"]["threshold"]
    said = edge_detect("info", tmp_path / "part.onnx").stdout
    assert "escapes and false rejects weigh the same" in said and "validation anomalies that escape: " in said
    assert "rejects show the fine map" in (run / "report.html").read_text()

    for wrong, says in (
        (["--max-false-rejects", "lots"], "expected a share such as 10% or 0.1"),
        (["--max-false-rejects", "200%"], "expected a share such as"),
        (["--max-false-rejects", "1%", "--cost-escape", "2"], "give one of them"),
        (["--defect-rate", "1%"], "belongs to --cost-escape"),
        (["--gate", "missed=1"], "belong to --precision int8 or auto"),
    ):
        done = module("export", run / "model.keras", "-o", tmp_path / "none.onnx", *wrong)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and says in done.stderr, done.stderr
        assert not (tmp_path / "none.onnx").exists()


@pytest.mark.xdist_group("export")
def test_marked_frames_fit_how_large_boxes_are_drawn(
    bangles: Path, runs: Path, module: Run, edge_detect: Run, tmp_path: Path
) -> None:
    run, part = trained("slim", bangles, runs, module), tmp_path / "part.onnx"
    held_out = [frame for frame in json.loads((run / "split.json").read_text())["validation"] if frame["label"]]
    for truth in (bangles / "truth.json", bangles / "masks"):
        done = module("export", run, "-o", part, "--truth", truth)
        assert done.returncode == 0, done.stderr
        assert Model.load(part).manifest.calibration.boxes.marked == len(held_out)
        assert f"fitted on {len(held_out)} marked frames" in edge_detect("info", part).stdout
    (tmp_path / "truth.json").write_text('{"anomaly/other.jpg": {"boxes_xyxy": [[1, 1, 9, 9]]}}')
    done = module("export", run, "-o", tmp_path / "none.onnx", "--truth", tmp_path / "truth.json")
    assert done.returncode == 2 and f"knows none of the {len(held_out)} defective frames" in done.stderr
    assert not (tmp_path / "none.onnx").exists()


@pytest.mark.xdist_group("export")
def test_the_graph_keeps_the_contract(bangles: Path, runs: Path, module: Run, tmp_path: Path) -> None:
    run = trained("slim", bangles, runs, module)
    export(run / "model.keras", tmp_path / "part.onnx")
    proto = onnx.load(tmp_path / "part.onnx")
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*proto.graph.input, *proto.graph.output)
    }
    assert shapes == {
        "image": ["N", 64, 96, 3],
        "explain_from": [1],
        "logits": ["N", 2],
        "block5_conv3": ["N", 4, 6, 31],
        "fine_cam": ["N", 16, 24],
        "fine_bias": ["N", 1],
        "fine_activations": ["N", 16, 24, 15],
        "dense_weights": [31, 1],
        "dense_bias": [1],
        "output_weights": [1, 2],
        "output_bias": [2],
    }
    assert proto.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    operators = {node.op_type for node in proto.graph.node}
    assert "BatchNormalization" not in operators and {node.domain for node in proto.graph.node} <= {"", "ai.onnx"}
    stored = keras.models.load_model(run / "model.keras")
    assert np.array_equal(
        onnx.numpy_helper.to_array(_constant(proto, "dense_weights")), stored.get_layer("dense").get_weights()[0]
    )
    assert [path.name for path in tmp_path.iterdir()] == ["part.onnx"]


def _constant(proto: onnx.ModelProto, name: str) -> onnx.TensorProto:
    (node,) = [node for node in proto.graph.node if name in node.output]
    tensor: onnx.TensorProto = node.attribute[0].t
    return tensor


def _unfolded(plain: keras.Model, trained: keras.Model) -> None:
    """One BatchNorm forgotten: its convolution as it was trained, without the scale and the shift that follow it."""
    (kernel,) = trained.get_layer("block3_conv1").get_weights()
    plain.get_layer("block3_conv1").set_weights([kernel, np.zeros(kernel.shape[-1])])


def _swapped(plain: keras.Model, trained: keras.Model) -> None:
    kernel, bias = trained.get_layer("logits").get_weights()
    plain.get_layer("logits").set_weights([kernel[:, ::-1], bias[::-1]])


def _flipped(plain: keras.Model, trained: keras.Model) -> None:
    kernel, bias = trained.get_layer("dense").get_weights()
    plain.get_layer("dense").set_weights([-kernel, bias])


def _colours(plain: keras.Model, trained: keras.Model) -> None:
    kernel, bias = plain.get_layer("block1_conv1").get_weights()
    plain.get_layer("block1_conv1").set_weights([kernel[:, :, ::-1], bias])


@pytest.mark.xdist_group("export")
@pytest.mark.parametrize("wrong", [_unfolded, _swapped, _flipped, _colours])
def test_a_graph_that_disagrees_is_refused_and_nothing_is_written(
    wrong: Any, bangles: Path, runs: Path, module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, fold = trained("slim", bangles, runs, module), convert.fold

    def wrongly(model: keras.Model, settings: Any) -> keras.Model:
        plain = fold(model, settings)
        wrong(plain, model)
        return plain

    monkeypatch.setattr(convert, "fold", wrongly)
    with pytest.raises(ParityError, match=r"disagrees with the trained model on .* Nothing was written"):
        export(run / "model.keras", tmp_path / "part.onnx")
    assert list(tmp_path.iterdir()) == []


def _between_samples(image: Image, input_hw: tuple[int, int]) -> Image:
    """What most programs do instead of averaging areas."""
    return np.asarray(cv2.resize(image, input_hw[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def _red_first(image: Image, input_hw: tuple[int, int]) -> Image:
    return np.ascontiguousarray(prepare(image, input_hw)[..., ::-1])


@pytest.mark.xdist_group("export")
@pytest.mark.parametrize("wrongly", [_between_samples, _red_first])
@pytest.mark.parametrize(
    ("side", "says"),
    [(intake, "had .* in its training"), (inspector, "disagrees with itself on .* frames as the line reads them")],
    ids=["where it is exported", "on the line"],
)
def test_frames_that_arrive_otherwise_than_in_training_are_noticed(
    wrongly: Any,
    side: Any,
    says: str,
    bangles: Path,
    runs: Path,
    module: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = trained("slim", bangles, runs, module)
    monkeypatch.setattr(side, "prepare", wrongly)
    with pytest.raises(ParityError, match=f"{says}.* Nothing was written"):
        export(run / "model.keras", tmp_path / "part.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.xdist_group("export")
def test_a_file_with_another_rule_for_decoding_than_the_training_had_is_refused(
    bangles: Path, runs: Path, module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, draft = trained("slim", bangles, runs, module), command.draft_manifest
    monkeypatch.setattr(command, "draft_manifest", lambda *given: replace(draft(*given), resize="stretch-area"))
    with pytest.raises(ParityError, match="decoded or resized in another way there"):
        export(run / "model.keras", tmp_path / "part.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.xdist_group("export")
def test_a_pc_that_resizes_otherwise_is_refused_by_the_golden_frames(
    bangles: Path, runs: Path, module: Run, edge_detect: Run, tmp_path: Path
) -> None:
    run = trained("slim", bangles, runs, module)
    export(run / "model.keras", tmp_path / "part.onnx")
    assert edge_detect("check", "part.onnx").returncode == 0
    done = edge_detect("check", "part.onnx", env=otherwise(tmp_path / "other"))
    assert done.returncode == 2 and "golden frame 2 (anomaly): logits differ by" in done.stderr, done.stderr


@pytest.mark.xdist_group("export")
def test_mistakes_get_one_clear_line(bangles: Path, runs: Path, module: Run, tmp_path: Path) -> None:
    run = trained("slim", bangles, runs, module)
    (tmp_path / "model.keras").write_text("hello")
    with pytest.raises(UsageError, match="expected a folder written by python -m train"):
        export(tmp_path / "model.keras", tmp_path / "part.onnx")
    for name in ("run.json", "split.json", "history.json"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    (tmp_path / "history.json").write_text("{}")
    with pytest.raises(UsageError, match=r"history\.json has fewer epochs than run\.json"):
        export(tmp_path / "model.keras", tmp_path / "part.onnx")
    (tmp_path / "history.json").write_bytes((run / "history.json").read_bytes())
    with pytest.raises(UsageError, match=r"model\.keras: is no Keras model"):
        export(tmp_path / "model.keras", tmp_path / "part.onnx")
    with pytest.raises(UsageError, match=r"ends in \.onnx"):
        export(run / "model.keras", tmp_path / "part.bin")
    with pytest.raises(UsageError, match=r"nowhere: no such folder; expected the RUN of python -m train"):
        export(tmp_path / "nowhere", tmp_path / "part.onnx")
    with pytest.raises(UsageError, match="--defect-rate 1: expected a share between 0 and 1"):
        export(run, tmp_path / "part.onnx", cost_escape=20.0, defect_rate="1")
    with pytest.raises(OutputError, match="can't be written"):
        export(run, Path("/proc/part.onnx"))
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "settings.json").write_bytes(to_json(runs_of.read(run)[0].settings).encode())
    with pytest.raises(UsageError, match="begun: its training is not finished"):
        export(tmp_path / "begun", tmp_path / "part.onnx")
    with pytest.raises(UsageError, match="say where they are with --data"):
        export(run / "model.keras", tmp_path / "part.onnx", data=tmp_path)
    changed = tmp_path / "changed"
    split = json.loads((run / "split.json").read_text())
    for frame in split["validation"]:
        (changed / frame["path"]).parent.mkdir(parents=True, exist_ok=True)
        (changed / frame["path"]).write_bytes((bangles / "good" / "good_00000.jpg").read_bytes())
    with pytest.raises(UsageError, match="has changed since the training"):
        export(run / "model.keras", tmp_path / "part.onnx", data=changed)


@pytest.mark.xdist_group("export")
@pytest.mark.parametrize(
    ("asked", "saturates", "seven_bits"),
    [(None, True, True), (None, False, False), (False, True, False), (True, False, True)],
)
def test_the_processor_says_how_many_bits_weights_get_unless_somebody_else_does(
    asked: bool | None,
    saturates: bool,
    seven_bits: bool,
    bangles: Path,
    runs: Path,
    module: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    class Tried(Exception):
        pass

    def choose(*arguments: object) -> None:
        raise Tried(arguments[-1])

    monkeypatch.setattr(command, "saturates", lambda: saturates)
    monkeypatch.setattr(precision, "choose", choose)
    run = trained("slim", bangles, runs, module)
    with pytest.raises(Tried, match=str(seven_bits)):
        export(run, tmp_path / "part.onnx", precision=Precision.AUTO, reduce_range=asked)


@pytest.mark.xdist_group("export")
def test_a_validation_frame_that_shows_nothing_is_named_as_it_lets_others_pass(
    bangles: Path,
    runs: Path,
    module: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = trained("slim", bangles, runs, module)
    monkeypatch.setattr(usual, "measure", lambda image: (90.0, 0.5, 0.5))
    export(run / "model.keras", tmp_path / "part.onnx")
    assert "shows hardly anything, so frames that show nothing will be judged, too" in capsys.readouterr().err
