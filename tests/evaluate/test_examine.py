from __future__ import annotations

import numpy as np
import pytest

from face_tables import table_samples
from mien.data import Samples
from mien.errors import DatasetError
from mien.evaluate.answers import answer
from mien.evaluate.examine import attention, own_names, take_split
from mien.evaluate.folder import worst_rows
from mien.evaluate.parts import WORST
from mien.face.analyzer import FaceAnalyzer
from mien.labels import FER7
from planted_answers import data, make_images


def split_data(*names: str) -> Samples:
    images = make_images(len(names))
    return table_samples(images, np.zeros(len(names), dtype=np.int64), source="here", split=names)


def test_the_training_rows_are_set_apart() -> None:
    rows, training = take_split(split_data("Training", "PublicTest", "Training"), "PublicTest")
    assert training is not None
    assert (rows.rows.tolist(), training.rows.tolist()) == ([1], [0, 2])
    assert take_split(split_data("train", "test"), "train")[1] is None
    rows, training = take_split(split_data("train", "test"), "test")
    assert training is not None
    assert training.rows.tolist() == [0]


def test_all_rows_and_no_splits() -> None:
    rows, training = take_split(split_data("train", "test"), "all")
    assert (rows.split_names(), len(rows), training) == ([""], 2, None)
    assert take_split(split_data("", ""), None)[0].split_names() == [""]
    assert take_split(split_data("test"), None)[0].split_names() == ["test"]
    assert take_split(split_data("all", "test"), "all")[0].rows.tolist() == [0]
    with pytest.raises(DatasetError, match=r"here has the splits train, \(none\): choose one of them, or all"):
        take_split(split_data("train", ""), None)
    with pytest.raises(DatasetError, match="here has no split 'x': it has train"):
        take_split(split_data("train"), "x")


def test_names_of_folders() -> None:
    assert own_names(["a-b", "a-b", "../a b", "", "a-b"]) == ["a-b", "a-b-2", "a-b-3", "report", "a-b-4"]


def test_the_worst_are_the_most_confident_and_what_was_looked_at_lies_over_them() -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 48, 48), dtype=np.uint8)
    analyzer = FaceAnalyzer(threads=1)
    answers = answer(analyzer, data(images, np.full(60, FER7.index("disgust"))))
    worst = worst_rows(answers)
    assert len(worst) == min(WORST, int((answers.answered != answers.truth).sum()))
    confidence = answers.probabilities[worst].max(axis=1)
    assert (np.diff(confidence) <= 0).all()
    assert (answers.answered[worst] != answers.truth[worst]).all()
    maps = attention(analyzer, answers)
    assert len(maps) == len(worst)
    assert all(image.shape == (48, 48, 3) and image.dtype == np.uint8 for image in maps)
    assert not np.array_equal(maps[0], answers.rows.read(int(worst[0])))
