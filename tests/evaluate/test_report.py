from __future__ import annotations

import json

import numpy as np
import pytest

from mien.evaluate import ClassFigures, Evaluation, Figures, PairedResult, predict
from mien.evaluate.report import attention_maps, folder_names, paired_lines, summary, to_json, to_text
from mien.face.analyzer import FaceAnalyzer
from mien.labels import FER7
from mien.metrics import Interval
from planted_predictions import data

RESULT: dict[str, object] = {
    "kind": "image",
    "intervals_by": "image",
    "n_groups": 2749,
    "brier_cross_fitted": 0.19,
    "nll_cross_fitted": 0.39,
    "model": "face-[bold]base",
    "model_version": "1",
    "dataset": "ferplus",
    "split": "PublicTest",
    "protocol": "majority",
    "output": "ferplus8",
    "labels_mapping": "one to one",
    "views": 1,
    "n": 3000,
    "n_unlabeled": 589,
    "accuracy": 0.8754,
    "uar": 0.75,
    "macro_f1": 0.7,
    "n_overlap": 251,
    "accuracy_overlap_free": 0.8701,
    "ece": 0.0312,
    "ece_floor": 0.0102,
    "ece_above_floor": 0.021,
    "ece_cross_fitted": 0.0155,
    "ece_cross_fitted_floor": 0.0101,
    "ece_cross_fitted_above_floor": 0.0054,
    "brier": 0.2,
    "nll": 0.4,
    "temperature": 1.25,
    "temperature_fitted": 1.31,
    "intervals": {"accuracy": Interval(0.86, 0.89), "uar": Interval(0.7, 0.8)},
    "per_class": (ClassFigures("anger", 0.9, 0.8, 0.85, 2000, 1900), ClassFigures("contempt", None, None, None, 0, 0)),
    "confusion_matrix": ((1900, 100), (0, 0)),
    "labels": ("anger", "contempt"),
    "date": "2026-01-31",
    "mien_version": "0.1.0",
}


def result(**changes: object) -> Evaluation:
    return Evaluation(**{**RESULT, **changes})  # type: ignore[arg-type]


def test_text_says_it_all() -> None:
    text = to_text(result())
    for line in (
        "face-[bold]base 1 on ferplus PublicTest, majority, output ferplus8",
        "3000 images, 589 left out for want of a label. Measured 2026-01-31 with mien 0.1.0.",
        "accuracy                87.54 %  86.00 to 89.00",
        "UAR                     75.00 %  70.00 to 80.00  over the classes present: no sample is contempt",
        "accuracy, overlap-free  87.01 %                  without 251 images that are also in Training",
        "anger       90.00 %  80.00 %  85.00 %  2000       1900",
        "contempt          -        -        -     0          0",
        "anger              1900       100",
        "ECE                                0.0312        0.0155",
        "ECE above floor                    0.0210        0.0054",
        "Brier                              0.2000        0.1900",
        "temperature (recorded; best here)  1.2500        1.3100",
    ):
        assert line in text.splitlines()
    assert ["AUC", "-"] in [line.split() for line in text.splitlines()]
    assert max(map(len, text.splitlines())) <= 120
    assert "\x1b" not in text
    assert not text.endswith("\n")


def test_text_says_what_is_not_known() -> None:
    text = to_text(
        result(
            n_overlap=None,
            accuracy_overlap_free=None,
            ece_cross_fitted=None,
            ece_cross_fitted_floor=None,
            ece_cross_fitted_above_floor=None,
            temperature_fitted=None,
            views=2,
            n_unlabeled=0,
            labels_mapping="contempt is dropped",
        )
    )
    assert "accuracy, overlap-free        -                  unknown: the Training rows are not in this data" in text
    assert "output ferplus8 (contempt is dropped)" in text
    assert "3000 images. Two views: image and mirror image. Measured" in text
    assert "temperature (recorded; best here)  1.2500             -" in text


@pytest.mark.parametrize(
    "key",
    [
        "model",
        "dataset",
        "split",
        "protocol",
        "output",
        "n",
        "accuracy",
        "uar",
        "accuracy_overlap_free",
        "ece",
        "ece_floor",
        "brier",
        "nll",
        "intervals",
        "per_class",
        "confusion_matrix",
        "labels",
    ],
)
def test_json_has_the_promised_keys_at_the_top(key: str) -> None:
    assert key in json.loads(to_json(result()))


def test_json_is_the_plain_data() -> None:
    assert json.loads(to_json(result())) == json.loads(json.dumps(result().to_dict()))
    assert json.loads(to_json(result()))["per_class"][1]["recall"] is None


def test_subjects_the_worst_first_and_not_all() -> None:
    subjects = {f"S{i:02d}": Figures(n=5, n_subjects=1, accuracy=i / 20, uar=i / 40, intervals={}) for i in range(12)}
    text = to_text(result(groups={"subject": subjects}, intervals_by="subject", n_groups=12, auc=0.912345))
    assert "AUC                      0.9123" in text
    assert "86.00 to 89.00  intervals by subject, of which there are 12" in text
    assert "S00           5    0.00 %   0.00 %" in text
    assert "S10" not in text
    assert text.endswith("and 2 more with a higher UAR")


def test_summary_of_several() -> None:
    head, first, second = summary([("a", result()), ("b", result(accuracy=0.5))]).splitlines()
    assert head.split()[:3] == ["model", "data", "output"]
    assert first.split()[:4] == ["a", "ferplus", "PublicTest", "ferplus8"]
    assert "50.00 %" in second


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.01, 0.03, "a is better"), (-0.03, -0.01, "b is better"), (-0.01, 0.01, "which is better stays open")],
)
def test_a_comparison_in_words(low: float, high: float, verdict: str) -> None:
    interval = Interval(low, high)
    paired = PairedResult("a", "b", "fer2013", "x", 99, 7, 5, 0.774, 0.02, interval, 0.01, interval, "subject")
    text = "\n".join(paired_lines(paired))
    assert f"a against b on fer2013 x: {verdict}." in text
    assert "Accuracy +2.00 points" in text
    assert "paired bootstrap by subject" in text
    assert "7 against 5 of 99 images; McNemar's exact p 0.774." in text


def test_names_of_folders() -> None:
    assert folder_names(["a-b", "a-b", "../a b", "", "a-b"]) == ["a-b", "a-b-2", "a-b-3", "report", "a-b-4"]


def test_the_worst_are_the_most_confident_and_what_was_looked_at_lies_over_them() -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 48, 48), dtype=np.uint8)
    analyzer = FaceAnalyzer(threads=1)
    predictions = predict(analyzer, data(images, np.full(60, FER7.index("disgust"))))
    worst = predictions.most_confident_mistakes()
    assert len(worst) == min(40, int((predictions.classes != predictions.truth).sum()))
    assert (np.diff(predictions.probabilities[worst].max(axis=1)) <= 0).all()
    assert (predictions.classes[worst] != predictions.truth[worst]).all()
    maps = attention_maps(analyzer, predictions)
    assert len(maps) == len(worst)
    assert all(image.shape == (48, 48, 3) and image.dtype == np.uint8 for image in maps)
    assert not np.array_equal(maps[0], predictions.samples.read(int(worst[0])))
