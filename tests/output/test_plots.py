from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from mien.errors import InputError, MissingExtraError
from mien.labels import FER7
from mien.output import plots

METRICS = ("accuracy", "uar", "macro_f1", "binary_accuracy", "precision", "recall", "auc")


def pixels(png: bytes) -> np.ndarray:
    assert png.startswith(b"\x89PNG")
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def near(image: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((np.abs(image - color).max(axis=2) < 12).sum())


def history(epochs: int = 12, heads: tuple[str, ...] = ("fer7", "ferplus8"), *, train: bool = True) -> list[dict]:
    rows = []
    for epoch in range(1, epochs + 1):
        row = {"epoch": str(epoch), "train_loss": str(2 / epoch), "val_loss": str(2 / epoch + 0.2)}
        row["val_score"] = str(0.5 + 0.02 * epoch - 0.0015 * epoch**2)
        for number, head in enumerate(heads):
            for metric in METRICS:
                row[f"val_{head}_{metric}"] = str(0.4 + 0.03 * epoch + 0.1 * number)
                if train:
                    row[f"train_{head}_{metric}"] = str(0.45 + 0.03 * epoch + 0.1 * number)
        rows.append(row)
    return rows


def test_curves_have_a_panel_for_the_loss_and_each_metric() -> None:
    both = pixels(plots.curves(history(), ["fer7", "ferplus8"]))
    assert near(both, (0x00, 0x72, 0xB2)) > 500
    assert near(both, (0xD5, 0x5E, 0x00)) > 500
    few = [{"epoch": "1", "val_loss": "1.5"}, {"epoch": "2", "val_loss": "1.2"}]
    assert pixels(plots.curves(few, ["fer7"])).size < both.size / 4


def test_curves_without_training_metrics_with_gaps_and_of_one_epoch() -> None:
    rows = history(train=False)
    rows[3]["val_fer7_accuracy"] = ""
    rows[4]["val_loss"] = "nan"
    del rows[5]["val_fer7_uar"]
    assert pixels(plots.curves(rows, ["fer7", "ferplus8"])).size
    assert pixels(plots.curves(history(1), ["fer7"])).size


def test_heads_that_are_not_in_the_history_draw_nothing() -> None:
    assert near(pixels(plots.curves(history(heads=("fer7",)), ["other", "fer7"])), (0xD5, 0x5E, 0x00)) > 500


def test_a_confusion_matrix_is_darkest_where_the_share_is_largest() -> None:
    matrix = np.zeros((7, 7), dtype=int)
    matrix[0, 0], matrix[1, 3], matrix[2] = 3, 4000, 10
    pair = pixels(plots.confusion_pair(matrix, FER7.emotions))
    middle = pair.shape[1] // 2
    shares, counts = (near(half, (8, 48, 107)) for half in (pair[:, :middle], pair[:, middle:]))
    assert shares > 2000  # the darkest of matplotlib's Blues: whole cells
    assert counts == pytest.approx(shares, rel=0.05)
    # The unit stands above the counts and nowhere else.
    recordings = pixels(plots.confusion_pair(matrix, FER7.emotions, unit="recordings"))
    columns = np.flatnonzero((pair != recordings).any(axis=(0, 2)))
    rows = np.flatnonzero((pair != recordings).any(axis=(1, 2)))
    assert columns.min() > middle
    assert np.ptp(rows) < 20


def test_several_confusion_matrices_stand_below_each_other() -> None:
    three, five = np.eye(3, dtype=int), 7 * np.eye(5, dtype=int)
    image = pixels(plots.confusion_pairs([("first", three, "abc"), ("se$ond", five, "abcde")]))
    height, width = image.shape[:2]
    assert near(image[: height // 3, : width // 2], (8, 48, 107)) > 1000
    assert near(image[height // 2 :, width // 2 :], (8, 48, 107)) > 1000


def test_noise_curves_are_lines_over_the_ratio_with_clean_across() -> None:
    white = [(0.0, 0.2, 0.1, 0.3), (20.0, 0.8, 0.7, 0.9)]
    image = pixels(plots.noise_curves({"white": white, "se$ond": [(0.0, 0.5, None, None)]}, clean=0.9))
    for color in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00), (0x66, 0x66, 0x66)):
        assert near(image, color) > 20
    band = (217, 234, 243)  # the first color at 15 %
    assert near(image, band) > 2000
    bare = pixels(plots.noise_curves({"white": [(*point[:2], None, None) for point in white]}))
    assert near(bare, band) < near(image, band) / 5
    assert plots.noise_curves({"white": white}) == plots.noise_curves({"white": white[::-1]})
    assert pixels(plots.noise_curves({}, clean=0.5)).size


def test_reliability() -> None:
    edges = np.linspace(0, 1, 6)
    bins = {
        "edges": edges,
        "count": np.array([0, 0, 10, 20, 300]),
        "confidence": np.array([np.nan, np.nan, 0.5, 0.7, 0.9]),
        "accuracy": np.array([np.nan, np.nan, 0.5, 0.6, 1.0]),
    }
    image = pixels(plots.reliability(**bins, ece=0.05, floor=0.01))
    assert near(image, (0x56, 0xB4, 0xE9)) > 5000
    assert near(image, (0xD5, 0x5E, 0x00)) > 30


def test_runs_and_bars() -> None:
    series = {"a": [(1, 0.5), (2, 0.6)], "empty": [], "b": [(1, 0.4)]}
    image = pixels(plots.compare_runs(series, "val_fer7_accuracy"))
    assert near(image, (0x00, 0x72, 0xB2)) > 100
    rows = [("happiness", 0.9, 0.85, 0.95), ("S001", 0.5, None, None)]
    image = pixels(plots.bars(rows, title="accuracy"))
    assert near(image, (0xF0, 0xE4, 0x42)) > near(image, (0x56, 0xB4, 0xE9)) > 1000


def test_twenty_runs_are_told_apart_by_dashes() -> None:
    series = {str(i): [(1, i / 20), (2, i / 20)] for i in range(20)}
    assert pixels(plots.compare_runs(series, "loss")).size


@pytest.mark.parametrize("name", ["$x^{", "_hidden", "日本", "a\nb", "\x00", "%s {0}", "x" * 60, ""])
def test_odd_names_are_shown_as_they_are(name: str) -> None:
    assert pixels(plots.compare_runs({name: [(1, 0.5), (2, 0.6)]}, name)).size
    assert pixels(plots.bars([(name, 0.5, 0.4, 0.6)], title=name)).size
    assert pixels(plots.confusion_pair(np.eye(2, dtype=int), [name, "b"])).size
    rows = [{"epoch": "1", f"val_{name}_accuracy": "0.5"}]
    assert pixels(plots.curves(rows, [name, "other"])).size


def test_the_same_input_gives_the_same_bytes() -> None:
    assert plots.curves(history(), ["fer7"]) == plots.curves(history(), ["fer7"])
    assert plots.confusion_pair(np.eye(3, dtype=int), "abc") == plots.confusion_pair(np.eye(3, dtype=int), "abc")


def test_no_global_state_is_touched() -> None:
    code = """
import sys, matplotlib
# Reading the back end would choose one.
settings = lambda: {key: matplotlib.rcParams[key] for key in matplotlib.rcParams if key != "backend"}
before = settings()
from mien.output import plots
plots.compare_runs({"a": [(1, 0.5)]}, "x")
assert settings() == before
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r'drawing charts needs matplotlib: pip install "mien\[plot\]"'):
        plots.compare_runs({"a": [(1, 0.5)]}, "x")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.curves([], ["a"]), "curves need at least one epoch"),
        (lambda: plots.curves([{"epoch": "1", "x": "2"}], ["a"]), "curves need columns such as val_loss.*epoch, x"),
        (lambda: plots.curves([{"epoch": "1", "val_loss": "much"}], []), "must hold numbers, but got 'much'"),
        (lambda: plots.confusion_pair(np.eye(3, dtype=int), "ab"), r"of shape \(2, 2\), but got int64"),
        (lambda: plots.confusion_pair(np.eye(2), "ab"), "must be integers"),
        (lambda: plots.confusion_pairs([]), "needs at least one, but got none"),
        (lambda: plots.compare_runs({"a": []}, "uar"), "a chart of uar needs a run that has it, but none of 1 does"),
        (lambda: plots.bars([], title="x"), "needs at least one row"),
        (lambda: plots.noise_curves({}), "a chart of noise needs at least one figure, but got none"),
        (lambda: plots.noise_curves({"white": []}), "needs at least one figure"),
        (
            lambda: plots.reliability(edges=[0, 1], count=[0], confidence=[0], accuracy=[0], ece=0, floor=0),
            "needs bins with predictions",
        ),
    ],
)
def test_refuses_nonsense(call: Callable[[], bytes], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
