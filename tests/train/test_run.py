from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("onnxscript")

from lightning.pytorch import LightningModule, Trainer  # noqa: E402
from lightning.pytorch.callbacks import Callback  # noqa: E402

from face_tables import make_rows, table_text, write_table  # noqa: E402
from mien import FaceAnalyzer  # noqa: E402
from mien.data.files import own_label_set  # noqa: E402
from mien.errors import DatasetError, InputError, ModelError  # noqa: E402
from mien.labels import FER7  # noqa: E402
from mien.models import registry, store  # noqa: E402
from mien.train.augment import Augmentation  # noqa: E402
from mien.train.export import deploy  # noqa: E402
from mien.train.folder import (  # noqa: E402
    AtomicCheckpointIO,
    claim_folder,
    load_checkpoint,
    load_network,
    read_config,
    read_history,
)
from mien.train.nets.base import count_multiply_adds, count_parameters  # noqa: E402
from mien.train.recipe import Distillation, Domain, Optimizer, Recipe, load_recipe  # noqa: E402
from mien.train.run import RunOptions, best_precision, ramped_average, train  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


def last_weights(folder: Path) -> dict[str, np.ndarray]:
    state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return {name: value.numpy() for name, value in state.items() if name.startswith("net.")}


def assert_same_weights(one: Path, two: Path) -> None:
    first, second = last_weights(one), last_weights(two)
    assert first.keys() == second.keys()
    for name, values in first.items():
        np.testing.assert_allclose(second[name], values, rtol=1e-5, atol=1e-6, err_msg=name)


def figures(folder: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in read_history(folder / "history.csv")]


# --- a whole run ----------------------------------------------------------------------------------


def test_a_run_leaves_all_its_files(finished: Path, recipe: Recipe) -> None:
    names = {path.relative_to(finished).as_posix() for path in finished.rglob("*") if path.is_file()}
    assert names == {
        "config.toml",
        "data.toml",
        "history.csv",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "model.onnx",
        "model.safetensors",
        "model.heads.npz",
        "model.toml",
        "validation.npz",
        "report.md",
        "curves.png",
        "confusion.png",
    }
    assert read_config(finished) == recipe
    assert tomllib.loads((finished / "config.toml").read_text("utf-8"))["name"] == "tiny"


def test_the_history_has_a_row_an_epoch(finished: Path) -> None:
    rows = read_history(finished / "history.csv")
    assert [row["epoch"] for row in rows] == ["1", "2"]
    for row in rows:
        for name in ("train_loss", "val_loss", "val_fer7_accuracy", "val_ferplus8_uar", "val_score", "rate", "seconds"):
            assert np.isfinite(float(row[name]))
        mean = (float(row["val_fer7_accuracy"]) + float(row["val_ferplus8_accuracy"])) / 2
        assert float(row["val_score"]) == pytest.approx(mean, abs=1e-5)
    assert read_history(finished / "no.csv") == []


def test_the_folder_is_a_model(finished: Path) -> None:
    spec = registry.get(finished)
    store.verify(spec)
    assert (spec.name, spec.task) == ("tiny", "face-emotion")
    assert spec.default_output.name == "ferplus8"
    crops = np.random.default_rng(0).integers(0, 256, (5, 48, 48, 3), dtype=np.uint8)
    found = FaceAnalyzer(finished, threads=1).logits(crops)
    with torch.no_grad():
        expected = deploy(load_network(finished))(torch.from_numpy(crops))
    np.testing.assert_allclose(found["ferplus8"], expected[0].numpy(), atol=1e-4)
    np.testing.assert_allclose(found["fer7"], expected[1].numpy(), atol=1e-4)


def test_the_record_tells_what_was_measured(finished: Path, data: Path) -> None:
    spec = registry.get(finished)
    net = load_network(finished)
    assert spec.training["parameters"] == count_parameters(net)
    assert spec.training["multiply_adds"] == count_multiply_adds(net)
    results = {(r.output, r.metric): r for r in spec.results}
    assert set(results) == {(o, m) for o in ("ferplus8", "fer7") for m in ("accuracy", "uar")}
    with (data / "fer2013.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["Usage"] == "PublicTest"]
    gray = np.array([[int(v) for v in row["pixels"].split()] for row in rows], np.uint8).reshape(-1, 48, 48)
    answers = FaceAnalyzer(finished, output="fer7", threads=1).logits(gray)["fer7"].argmax(1)
    right = np.mean(answers == [int(row["emotion"]) for row in rows])
    assert results["fer7", "accuracy"].value == pytest.approx(right, abs=1e-6)
    assert all(r.low <= r.value <= r.high and r.n == len(rows) for r in results.values())


def test_the_best_epoch_is_the_model(finished: Path, recipe: Recipe) -> None:
    scores = [float(row["val_score"]) for row in read_history(finished / "history.csv")]
    state = torch.load(finished / "checkpoints" / "best.ckpt", weights_only=True)
    assert state["epoch"] == int(np.argmax(scores))
    best = load_checkpoint(finished, recipe)
    for name, values in load_network(finished).state_dict().items():
        torch.testing.assert_close(values, best.state_dict()[name])


def test_last_is_the_last_epoch_whatever_the_score(finished: Path) -> None:
    state = torch.load(finished / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["epoch"] == 1


# --- going on -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_export")
def test_one_epoch_and_another_are_two(
    finished: Path, data: Path, recipe: Recipe, options: RunOptions, tmp_path: Path
) -> None:
    train(recipe, data=data, out=tmp_path, options=replace(options, stop_after=1))
    assert [row["epoch"] for row in read_history(tmp_path / "history.csv")] == ["1"]
    assert not (tmp_path / "model.toml").exists()
    lines: list[str] = []
    train(recipe, data=data, out=tmp_path, options=options, report=lines.append)
    assert any(line.startswith("resuming from ") for line in lines)
    assert figures(tmp_path) == figures(finished)
    assert_same_weights(tmp_path, finished)
    # Once more changes nothing.
    train(recipe, data=data, out=tmp_path, options=options)
    assert figures(tmp_path) == figures(finished)
    assert_same_weights(tmp_path, finished)


KILLED = """
import os, signal, sys
from pathlib import Path
from mien.train.folder import read_config
from mien.train.run import RunOptions, train

def report(line):
    if line.startswith("epoch 2/"):  # its row is written, its checkpoint is not
        os.kill(os.getpid(), signal.SIGKILL)

folder = Path(sys.argv[2])
train(read_config(folder), data=sys.argv[1], out=folder, report=report,
      options=RunOptions(device="cpu", precision="float32", threads=1))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.usefixtures("no_export")
def test_a_killed_run_with_dropout_becomes_the_uninterrupted_one_to_the_last_bit(
    data: Path, recipe: Recipe, options: RunOptions, tmp_path: Path
) -> None:
    own = replace(recipe, epochs=3, net_options={**recipe.net_options, "dropout": 0.5})
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(own, data=data, out=whole, options=options)
    claim_folder(killed, own)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(data), str(killed)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [row["epoch"] for row in read_history(killed / "history.csv")] == ["1", "2"]
    torch.manual_seed(99)  # what the process did before must not matter
    train(own, data=data, out=killed, options=options)
    assert figures(killed) == figures(whole)
    expected = last_weights(whole)
    assert {name: value.tobytes() for name, value in last_weights(killed).items()} == {
        name: value.tobytes() for name, value in expected.items()
    }
    torch.manual_seed(1)
    plain = train(replace(own, seed=4), data=data, out=tmp_path / "other", options=options)
    assert not np.array_equal(last_weights(plain)["net.stem.weight"], expected["net.stem.weight"])


# --- the data of a run ----------------------------------------------------------------------------


def change_a_label(tree: Path) -> None:
    (tree / "happy" / "0.png").rename(tree / "sad" / "moved.png")


def change_a_pixel(tree: Path) -> None:
    image = cv2.imread(str(tree / "sad" / "3.png"), cv2.IMREAD_GRAYSCALE)
    image[0, 0] ^= 1
    cv2.imwrite(str(tree / "sad" / "3.png"), image)


def add_an_image(tree: Path) -> None:
    cv2.imwrite(str(tree / "sad" / "99.png"), np.zeros((48, 48), np.uint8))


def name_subjects(tree: Path) -> None:
    names = sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*.png"))
    lines = [f"{name},{name.split('/')[0]},s{number % 9}\n" for number, name in enumerate(names)]
    (tree / "manifest.csv").write_text("file,emotion,subject\n" + "".join(lines))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for emotion in ("happy", "sad"):
        folder = tmp_path / "photos" / emotion
        folder.mkdir(parents=True)
        for number in range(10):
            cv2.imwrite(str(folder / f"{number}.png"), generator.integers(0, 255, (48, 48), dtype=np.uint8))
    return tmp_path / "photos"


@pytest.mark.usefixtures("no_export")
@pytest.mark.parametrize("change", [change_a_label, change_a_pixel, add_an_image, name_subjects])
def test_a_run_does_not_go_on_with_other_data(
    photos: Path, recipe: Recipe, options: RunOptions, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    own = replace(recipe, dataset="folder")
    train(own, data=photos, out=tmp_path / "run", options=replace(options, stop_after=1))
    (tmp_path / "elsewhere").mkdir()
    moved = photos.rename(tmp_path / "elsewhere" / "photos")  # where it lies does not matter
    train(own, data=moved, out=tmp_path / "run", options=options)
    (tmp_path / "run" / "model.toml").write_text("")  # as if it were finished
    weights = last_weights(tmp_path / "run")
    change(moved)
    with pytest.raises(InputError, match=r"holds a run on other data .*: choose another folder, or remove it"):
        train(own, data=moved, out=tmp_path / "run", options=options)
    assert all(np.array_equal(values, weights[name]) for name, values in last_weights(tmp_path / "run").items())


def test_record_and_report_say_what_is_known_of_the_subjects(
    photos: Path, recipe: Recipe, options: RunOptions, tmp_path: Path
) -> None:
    own = replace(recipe, dataset="folder", epochs=1)
    lines: list[str] = []
    run = train(own, data=photos, out=tmp_path / "unknown", options=options, report=lines.append)
    unknown = "subjects unknown: one person may be among both training and validation images"
    training = registry.get(run).training
    assert any(unknown in line for line in training["data"])
    assert any(unknown in line for line in lines)
    assert unknown in (run / "report.md").read_text("utf-8")
    assert training["subjects"] == []
    assert len(training["fingerprint"]) == 32
    assert training["fingerprint"] in (run / "report.md").read_text("utf-8")
    name_subjects(photos)
    training = registry.get(train(own, data=photos, out=tmp_path / "known", options=options)).training
    assert training["subjects"] == [f"s{number}" for number in range(9)]
    assert re.search(r"\d subjects, none of them among the validation images", " ".join(training["data"]))
    # A published split may have one person on both sides: that is counted, not denied.
    text = (photos / "manifest.csv").read_text("utf-8").splitlines()
    sides = [f"{line},{'val' if number % 2 else 'train'}" for number, line in enumerate(text[1:])]
    (photos / "manifest.csv").write_text("\n".join([f"{text[0]},split", *sides]))
    training = registry.get(train(own, data=photos, out=tmp_path / "mixed", options=options)).training
    assert "9 of them among the validation images, too" in " ".join(training["data"])


# --- how it runs ----------------------------------------------------------------------------------


class Steps(Callback):
    def __init__(self) -> None:
        self.epochs: list[int] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.epochs.append(trainer.global_step)


@pytest.mark.usefixtures("no_export")
def test_loggers_callbacks_and_accumulated_gradients(
    data: Path, recipe: Recipe, options: RunOptions, tmp_path: Path
) -> None:
    own, steps, lines = replace(recipe, accumulate=2, freeze=("body",)), Steps(), list[str]()
    machine = replace(options, loggers=("csv",), callbacks=(steps,))
    train(own, data=data, out=tmp_path / "run", options=machine, report=lines.append)
    assert steps.epochs == [2, 4]  # 32 images are four batches an epoch
    (metrics,) = (tmp_path / "run" / "logs").rglob("metrics.csv")
    with metrics.open() as file:
        scores = [float(row["val_score"]) for row in csv.DictReader(file) if row["val_score"]]
    kept = [float(row["val_score"]) for row in read_history(tmp_path / "run" / "history.csv")]
    assert scores == pytest.approx(kept, abs=1e-5)
    assert any(line.startswith("warning: frozen at random values, so nothing is learned there: ") for line in lines)
    with pytest.raises(InputError, match="a logger must be one of csv, tensorboard, mlflow, but got 'xml'"):
        replace(options, loggers=("xml",))


def test_averages_of_few_steps_are_of_few_steps() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    average = torch.optim.swa_utils.AveragedModel(model, avg_fn=ramped_average(0.999))
    expected = 0.0
    for step in range(200):
        with torch.no_grad():
            model.weight.fill_(float(step))
        average.update_parameters(model)
        decay = min(0.999, (1 + step) / (10 + step))
        expected = step if step == 0 else decay * expected + (1 - decay) * step
        assert average.module.weight.item() == pytest.approx(expected, rel=1e-5)
    assert expected > 150  # 9.8 with the decay of 0.999 from the start


# --- starting from other runs ---------------------------------------------------------------------


@pytest.mark.usefixtures("no_export")
def test_a_run_starts_from_another_and_learns_from_it(
    finished: Path, data: Path, recipe: Recipe, options: RunOptions, tmp_path: Path
) -> None:
    still = replace(
        recipe,
        name="student",
        init=str(finished),
        epochs=1,
        calm_epochs=1,
        optimizer=Optimizer(rate=0.0, weight_decay=0.0, warmup_epochs=0),
        distillation=Distillation(teachers=(str(finished), str(finished)), weight=0.5),
    )
    train(still, data=data, out=tmp_path, options=options)
    teacher = load_network(finished).state_dict()
    for name, values in last_weights(tmp_path).items():
        if name.endswith(("weight", "bias")):  # at a rate of 0 only the norms' statistics move
            np.testing.assert_allclose(values, teacher[name.removeprefix("net.")].numpy(), atol=1e-6, err_msg=name)


@pytest.mark.usefixtures("no_export")
def test_other_weights_to_start_from_are_refused(
    finished: Path, data: Path, recipe: Recipe, options: RunOptions, tmp_path: Path
) -> None:
    wider = replace(recipe, init=str(finished), net_options={**recipe.net_options, "stem": 6})
    with pytest.raises(ModelError, match=r"cannot start from .*: stem\.weight has the shape \(4, 1, 3, 3\), but"):
        train(wider, data=data, out=tmp_path / "a", options=options)
    nowhere = replace(recipe, init=str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match="nowhere"):
        train(nowhere, data=data, out=tmp_path / "b", options=options)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "config.toml").write_bytes((finished / "config.toml").read_bytes())
    with pytest.raises(ModelError, match="c has no checkpoint yet"):
        load_network(tmp_path / "c")


# --- what cannot be done --------------------------------------------------------------------------


def test_another_recipe_in_the_same_folder_is_refused(
    finished: Path, data: Path, recipe: Recipe, options: RunOptions
) -> None:
    for other in (replace(recipe, seed=4), replace(recipe, augmentation=Augmentation(flip=0.1))):
        with pytest.raises(InputError, match="tiny holds a run of another recipe: choose another folder, or remove it"):
            train(other, data=data, out=finished, options=options)
    assert read_config(finished) == recipe


def test_wrong_data_are_one_error(data: Path, recipe: Recipe, options: RunOptions, tmp_path: Path) -> None:
    rows = make_rows(["Training"] * 3 + ["PublicTest"] * 2)
    write_table(tmp_path / "alone.csv", table_text(rows))
    (tmp_path / "text.csv").write_text("hello\n")
    for source, message in (
        (tmp_path / "no.csv", r"no\.csv"),
        (tmp_path / "text.csv", "text.csv"),
        (tmp_path / "alone.csv", r"fer2013new\.csv"),
    ):
        with pytest.raises(DatasetError, match=message) as caught:
            train(recipe, data=source, out=tmp_path / "run", options=options)
        assert "\n" not in str(caught.value)
    # Votes for other rows than these.
    with pytest.raises(DatasetError):
        train(
            recipe, data=tmp_path / "alone.csv", labels=data / "fer2013new.csv", out=tmp_path / "run", options=options
        )


def test_a_folder_that_cannot_be_made_is_one_error(
    data: Path, recipe: Recipe, options: RunOptions, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"cannot write .*config.toml"):
        train(recipe, data=data, out=tmp_path / "file" / "run", options=options)


def test_a_damaged_config_is_named(tmp_path: Path, recipe: Recipe, data: Path, options: RunOptions) -> None:
    (tmp_path / "config.toml").write_text("name = \n")
    with pytest.raises(ModelError, match=r"cannot read .*config\.toml"):
        train(recipe, data=data, out=tmp_path, options=options)


def test_the_precision_fits_the_processor() -> None:
    assert best_precision("cpu") in ("float32", "bfloat16")


@pytest.mark.usefixtures("no_export")
def test_the_shipped_model_is_fine_tuned_on_a_folder(photos: Path, options: RunOptions, tmp_path: Path) -> None:
    own = replace(load_recipe("fine-tune"), epochs=1, batch=8, freeze=("stem", "blocks.0-2"))
    head = own_label_set(("happiness", "sadness")).name
    lines: list[str] = []
    train(own, data=photos, out=tmp_path / "run", options=options, report=lines.append)
    assert any(line.startswith("16 training images, 4 for validation") for line in lines)
    # The head has the two classes of the data, and starts from FER7's rows for them.
    graph = onnx.load_from_string(store.read_weights(registry.get("face-base")))
    shipped = {i.name: onnx.numpy_helper.to_array(i) for i in graph.graph.initializer}
    state = last_weights(tmp_path / "run")
    # Averaging equal weights rounds.
    np.testing.assert_allclose(state["net.stem.weight"], shipped["net.stem.weight"], rtol=1e-5)
    rows = [FER7.index("happiness"), FER7.index("sadness")]
    moved = np.abs(state[f"net.heads.{head}.weight"] - shipped["net.heads.fer7.weight"][rows]).max()
    assert 0 < moved < 0.01


# --- options of the recipe ------------------------------------------------------------------------


@pytest.mark.usefixtures("no_export")
def test_a_rate_that_falls_on_a_plateau_falls(data: Path, recipe: Recipe, options: RunOptions, tmp_path: Path) -> None:
    # At so low a rate the score does not move.
    still = Optimizer(kind="adamw", rate=1e-6, schedule="plateau", factor=0.5, patience=1, average=0.0)
    train(replace(recipe, epochs=6, optimizer=still), data=data, out=tmp_path, options=options)
    rates = [float(row["rate"]) for row in read_history(tmp_path / "history.csv")]
    assert rates == pytest.approx([1e-6, 1e-6, 1e-6, 5e-7, 5e-7, 2.5e-7], rel=1e-3)


@pytest.mark.usefixtures("no_export")
def test_early_stopping_ends_a_run_for_good(data: Path, recipe: Recipe, options: RunOptions, tmp_path: Path) -> None:
    still = replace(recipe, epochs=9, early_stopping=2, optimizer=Optimizer(rate=0.0, average=0.0))
    train(still, data=data, out=tmp_path, options=options)
    assert len(read_history(tmp_path / "history.csv")) == 3  # the first, and two that are not better


@pytest.mark.usefixtures("no_export")
def test_frozen_parts_stay_as_they_are(
    finished: Path, data: Path, recipe: Recipe, options: RunOptions, tmp_path: Path
) -> None:
    part = replace(recipe, init=str(finished), freeze=("body",))
    lines: list[str] = []
    train(part, data=data, out=tmp_path, options=options, report=lines.append)
    assert any("are frozen: body" in line for line in lines)
    start, state = load_network(finished).state_dict(), last_weights(tmp_path)
    for name, value in start.items():
        same = np.array_equal(state[f"net.{name}"], value.numpy())
        assert same == (not name.startswith("heads.")), name


def test_a_finished_run_is_left_alone(finished: Path, data: Path, recipe: Recipe, options: RunOptions) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    lines: list[str] = []
    train(recipe, data=data, out=finished, options=options, report=lines.append)
    assert lines[-1] == f"{finished} holds the finished run already"
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_what_the_model_said_is_kept(finished: Path, data: Path) -> None:
    with np.load(finished / "validation.npz", allow_pickle=False) as kept:
        truth, probabilities = kept["truth_fer7"], kept["probabilities_fer7"]
    np.testing.assert_array_equal(truth, np.arange(14) % 7)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    result = next(r for r in registry.get(finished).results if (r.output, r.metric) == ("fer7", "accuracy"))
    assert result.value == pytest.approx(np.mean(probabilities.argmax(axis=1) == truth), abs=1e-6)


@pytest.mark.slow
def test_two_processes_learn_what_one_does(data: Path, tmp_path: Path) -> None:
    rows = {}
    for devices in (1, 2):
        out = tmp_path / str(devices)
        command = [
            *(sys.executable, "-m", "mien", "train", "--recipe", "mlp", "--data", str(data), "--out", str(out)),
            *("--epochs", "3", "--batch", "8", "--set", "optimizer.average=0.5", "--set", "net_options.dropout=0.0"),
            *("--set", "net_options.widths=[16]", "--device", "cpu", "--devices", str(devices), "--threads", "1"),
            *("--precision", "float32"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[0] == str(out)
        rows[devices] = read_history(out / "history.csv")
        assert len(rows[devices]) == 3
        assert registry.get(out).name == "mlp"
    # The same batches, in halves: apart from the augmentation's draws the same steps.
    for one, two in zip(rows[1], rows[2], strict=True):
        assert float(two["val_loss"]) == pytest.approx(float(one["val_loss"]), abs=0.25)
        assert float(two["val_fer7_accuracy"]) == pytest.approx(float(one["val_fer7_accuracy"]), abs=0.3)


# --- checkpoints ----------------------------------------------------------------------------------

FULL = """
import resource, signal, sys
import torch
from mien.errors import DatasetError
from mien.train.folder import AtomicCheckpointIO

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # as a full disk: writing fails in the middle
try:
    AtomicCheckpointIO().save_checkpoint({"values": torch.zeros(1_000_000)}, sys.argv[1])
except DatasetError as error:
    print(error)
"""


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"values": torch.arange(5)}, path)
    assert torch.load(path, weights_only=True)["values"].tolist() == [0, 1, 2, 3, 4]
    assert [p.name for p in path.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on files")
@pytest.mark.parametrize("before", [True, False])
def test_a_full_disk_leaves_the_old_one(tmp_path: Path, before: bool) -> None:
    path = tmp_path / "last.ckpt"
    if before:
        AtomicCheckpointIO().save_checkpoint({"values": torch.arange(5)}, path)
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=False)
    assert f"cannot save the checkpoint {path}: " in done.stdout, done.stderr
    assert ("the one before is unharmed" if before else "there is none before it") in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"] * before
    if before:
        assert torch.load(path, weights_only=True)["values"].tolist() == [0, 1, 2, 3, 4]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="cannot save the checkpoint"):
        AtomicCheckpointIO().save_checkpoint({}, tmp_path / "file" / "last.ckpt")


def test_a_run_with_a_second_dataset_keeps_its_last_epoch(
    data: Path, recipe: Recipe, photographs: Path, tmp_path: Path
) -> None:
    own = replace(recipe, domain=Domain("photographs", str(photographs), repeat=2))
    folder = train(own, data=data, out=tmp_path / "run", options=RunOptions(device="cpu", precision="float32"))
    last = load_checkpoint(folder, own, epoch="last").state_dict()
    for name, value in load_network(folder).state_dict().items():
        torch.testing.assert_close(value, last[name], rtol=1e-2, atol=1e-3)
    spec = registry.get(folder)
    assert "FER+" in spec.license.data
    assert "Apache-2.0" in spec.license.data
    first, second, *_ = spec.training["data"]
    assert first.startswith("fer2013+ferplus Training: ")
    assert second == "second dataset: photographs, repeat 2"
