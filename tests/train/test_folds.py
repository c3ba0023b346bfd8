from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("onnxscript")

from mien.data.splits import folds
from mien.errors import DatasetError, InputError
from mien.train import folds as module
from mien.train.corpus import Corpus
from mien.train.faces import COPIES, Faces
from mien.train.folds import train_folds
from mien.train.kinds import load_corpus
from mien.train.recipe import Optimizer, Recipe

RECIPE = Recipe(
    name="tiny",
    net="mlp",
    net_options={"widths": [8], "dropout": 0.0},
    dataset="baum2_frames",
    epochs=1,
    batch=16,
    optimizer=Optimizer(rate=0.01, warmup_epochs=0, average=0.0),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six subjects with two clips of four frames: 48 images of four emotions."""
    root = tmp_path_factory.mktemp("frames")
    generator = np.random.default_rng(0)
    for subject in range(6):
        for clip in range(2):
            folder = root / f"S{subject:03d}" / f"{clip:03d}"
            folder.mkdir(parents=True)
            (folder / "emotion.txt").write_text(str((2 * subject + clip) % 4))
            for frame in range(4):
                cv2.imwrite(str(folder / f"{frame}.png"), generator.integers(0, 255, (48, 48), dtype=np.uint8))
    return root


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Record what each network would be trained on; its predictions are the number of the call."""
    calls: list[dict[str, Any]] = []

    def fit(recipe: Recipe, training: Any, validation: Any, folder: Path, **more: Any) -> str:
        calls.append({"training": training, "validation": validation, "folder": folder, **more})
        return f"net {len(calls)}"

    def predict(kind: Faces, net: str, corpus: Corpus) -> dict[str, np.ndarray]:
        calls[-1]["tested"] = corpus.inputs["images"]
        return {"baum8": np.eye(8, dtype=np.float32)[np.full(len(corpus), int(net.split()[1]) % 8)]}

    monkeypatch.setattr(module, "fit", fit)
    monkeypatch.setattr(Faces, "predict", predict)
    return calls


def sets(call: dict[str, Any]) -> tuple[set[bytes], set[bytes], set[bytes]]:
    parts = (call["training"].inputs["images"], call["validation"].inputs["images"], call["tested"])
    return tuple({image.tobytes() for image in part} for part in parts)  # type: ignore[return-value]


def test_subject_folds_share_no_subject_on_three_sides(
    data: Path, no_training: list[dict[str, Any]], options: Any, tmp_path: Path
) -> None:
    train_folds(RECIPE, data=data, out=tmp_path, k=3, options=options)
    assert len(no_training) == 3
    tested = 0
    for call in no_training:
        learned, chosen = set(call["training"].subjects), set(call["validation"].subjects)
        assert learned
        assert chosen
        assert not learned & chosen
        a, b, c = sets(call)
        assert not a & b
        assert not (a | b) & c
        assert call["start"] is None
        tested += len(call["tested"])
    assert tested == 48


def test_random_folds_mix_subjects(data: Path, no_training: list[dict[str, Any]], options: Any, tmp_path: Path) -> None:
    train_folds(RECIPE, data=data, out=tmp_path, k=3, ways=["random"], options=options)
    assert all(set(call["training"].subjects) & set(call["validation"].subjects) for call in no_training)


def test_copies_are_on_both_sides_and_a_continued_network_goes_on(
    data: Path, no_training: list[dict[str, Any]], options: Any, tmp_path: Path
) -> None:
    train_folds(RECIPE, data=data, out=tmp_path, k=3, ways=["copies", "continued"], options=options)
    copies, continued = no_training[:3], no_training[3:]
    assert sum(len(call["tested"]) for call in copies) == 48 * (1 + COPIES)
    assert all(set(call["training"].group) & set(call["validation"].group) for call in copies)
    assert [call["start"] for call in continued] == [None, "net 4", "net 5"]


def test_results_are_those_of_the_predictions(
    data: Path, no_training: list[dict[str, Any]], options: Any, tmp_path: Path
) -> None:
    (result,) = train_folds(RECIPE, data=data, out=tmp_path, k=3, options=options)
    corpus = load_corpus(RECIPE, data)
    fold = folds(corpus.samples, 3, seed=RECIPE.seed)
    right = corpus.truth["baum8"] == fold + 1  # the first network predicts 1, the second 2, the third 3
    assert result.accuracy == pytest.approx(right.mean())
    assert result.folds == pytest.approx([right[fold == f].mean() for f in range(3)])
    assert (result.n, result.groups, result.chance) == (48, 6, 0.25)
    assert result.accuracy_low <= result.accuracy <= result.accuracy_high
    kept = json.loads((tmp_path / "folds.json").read_text())
    assert kept["results"][0]["accuracy"] == result.accuracy
    assert f"| subject | `baum8` | 48 | 6 | {100 * result.accuracy:.1f} %" in (tmp_path / "folds.md").read_text()


def test_finished_folds_are_not_repeated(
    data: Path, no_training: list[dict[str, Any]], options: Any, tmp_path: Path
) -> None:
    first = train_folds(RECIPE, data=data, out=tmp_path, k=3, options=options)
    (tmp_path / "subject-3" / "fold-1" / "test.npz").unlink()
    no_training.clear()
    no_training.append({})  # so that the predictions of the second fold are again those of net 2
    assert train_folds(RECIPE, data=data, out=tmp_path, k=3, options=options) == first
    assert [call["folder"].name for call in no_training[1:]] == ["fold-1"]
    (tmp_path / "subject-3" / "fold-1" / "test.npz").write_bytes(b"PK damaged")
    with pytest.raises(DatasetError, match=r"cannot read .*test\.npz: .*; remove it to test this fold again"):
        train_folds(RECIPE, data=data, out=tmp_path, k=3, options=options)


def test_two_real_folds(data: Path, options: Any, tmp_path: Path) -> None:
    (result,) = train_folds(RECIPE, data=data, out=tmp_path, k=2, options=options)
    assert len(result.folds) == 2
    assert 0 <= result.accuracy <= 1
    for fold in ("fold-0", "fold-1"):
        assert {p.name for p in (tmp_path / "subject-2" / fold).iterdir()} == {"checkpoints", "history.csv", "test.npz"}


def test_wrong_requests_are_named(data: Path, options: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a way to split must be one of subject, random, copies, continued, but got x"):
        train_folds(RECIPE, data=data, out=tmp_path, ways=["x"], options=options)
    with pytest.raises(DatasetError, match="9 folds need at least 9 subjects"):
        train_folds(RECIPE, data=data, out=tmp_path, k=9, options=options)
    with pytest.raises(InputError, match="holds a run of another recipe"):
        train_folds(replace(RECIPE, seed=5), data=data, out=tmp_path, options=options)
