from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from face_tables import table_samples
from mien.data import Samples
from mien.errors import DatasetError, InputError, ModelError
from mien.evaluate import evaluate, predict, take_split
from mien.evaluate.predictions import choose_output, mapping_to, resampling_groups, training_subjects
from mien.labels import FER7, FERPLUS8, RAVDESS8, LabelSet, mapping
from mien.models import Output
from planted_predictions import Fake, data, make_images, output, spec

CK7 = LabelSet("ck7", ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise"))
SIX = LabelSet("six", ("anger", "disgust", "fear", "happiness", "sadness", "surprise"))


def test_the_output_with_the_least_loss() -> None:
    model = spec(output(FERPLUS8, default=True), output(FER7))
    assert choose_output(model, FER7).name == "fer7"
    assert choose_output(model, CK7).name == "ferplus8"  # it knows contempt
    assert choose_output(model, SIX).name == "fer7"  # it loses neutral alone
    assert choose_output(model, LabelSet("x", ("contempt",))).name == "ferplus8"
    with pytest.raises(ModelError, match="'fake' has no output that knows one of contempt: it has fer7"):
        choose_output(spec(output(FER7, default=True)), LabelSet("x", ("contempt",)))
    with pytest.raises(ModelError, match="it has none"):
        choose_output(spec(), FER7)


def test_a_mean_of_heads_answers_for_data_that_no_head_learned_from() -> None:
    both = Output("both", "", FERPLUS8, 1.0, True, mean_of=("ferplus8", "fer7"))
    model = replace(spec(output(FERPLUS8), output(FER7), both), training={"dataset": "fer2013+ferplus"})
    assert choose_output(model, FER7, dataset="fer2013").name == "fer7"
    assert choose_output(model, FERPLUS8, dataset="ferplus").name == "ferplus8"
    assert choose_output(model, FER7, dataset="photographs").name == "both"
    assert choose_output(model, FER7, "fer7", dataset="photographs").name == "fer7"
    assert choose_output(model, RAVDESS8, dataset="ravdess").name == "fer7"  # calm is no label of the mean


@pytest.mark.parametrize(("source", "target"), [(FER7, FER7), (FERPLUS8, FER7), (RAVDESS8, FERPLUS8)])
def test_a_mapping_that_labels_has_stays_as_it_is(source: LabelSet, target: LabelSet) -> None:
    own, expected = mapping_to(source, target), mapping(source, target)
    np.testing.assert_array_equal(own.weights, expected.weights)
    assert own.note.startswith(expected.note)


def test_what_the_data_does_not_have_is_dropped_and_said() -> None:
    mapped = mapping_to(FERPLUS8, CK7)
    assert mapped.note == "neutral is dropped and the rest renormalized"
    p = np.full(8, 1 / 8)
    np.testing.assert_allclose(mapped.apply(p), np.full(7, 1 / 7))
    assert mapping_to(FER7, CK7).note == ("neutral is dropped and the rest renormalized; contempt is never predicted")
    assert mapping_to(FERPLUS8, SIX).note == (
        "contempt is dropped and the rest renormalized; neutral is dropped and the rest renormalized"
    )
    assert mapping_to(RAVDESS8, SIX).note == "neutral and calm are dropped and the rest renormalized"
    with pytest.raises(InputError, match="no mapping from fer7 to x: they have no label in common"):
        mapping_to(FER7, LabelSet("x", ("contempt",)))


def rows(n: int = 40, *, subjects: list[str] | None = None, clips: list[str] | None = None) -> tuple[Fake, Samples]:
    images = make_images(n)
    truth = np.arange(n) % 7
    fake = Fake(images, {"fer7": 3 * np.eye(7)[truth]}, spec(output(FER7, default=True)))
    plain = data(images, truth)
    named = {
        key: np.array([names[i % len(names)] for i in range(n)])
        for key, names in (("subject", subjects), ("clip", clips))
        if names is not None
    }
    return fake, plain.with_columns(split=np.full(n, ""), **named)


def test_among_some_classes_the_others_are_never_predicted() -> None:
    images = make_images(14)
    truth = np.arange(14) % 7
    logits = 3 * np.eye(7)[truth]
    logits[:, FER7.index("disgust")] = 9  # the model would always say so
    predictions = predict(Fake(images, {"fer7": logits}, spec(output(FER7, default=True))), data(images, truth))
    assert set(predictions.classes.tolist()) == {FER7.index("disgust")}
    some = predictions.restrict(("happy", "anger", "neutral"))
    assert some.label_set.emotions == ("anger", "happiness", "neutral")
    assert len(some.truth) == 6
    assert some.n_no_common_label == 8
    np.testing.assert_array_equal(some.classes, some.truth)
    e = np.exp(3)
    np.testing.assert_allclose(some.probabilities.max(axis=1), e / (e + 2))
    np.testing.assert_allclose(some.probabilities.sum(axis=1), 1)
    assert some.labels_mapping.endswith("; among anger, happiness, neutral")
    for wrong, message in (
        (("anger",), "at least two"),
        (("anger", "angry"), "two different"),
        (("calm", "anger"), "calm"),
    ):
        with pytest.raises(InputError, match=message):
            predictions.restrict(wrong)
    with pytest.raises(DatasetError, match="is of anger, fear"):
        predict(
            Fake(images, {"fer7": logits}, spec(output(FER7, default=True))), data(images, np.full(14, 3))
        ).restrict(("anger", "fear"))


def test_subjects_seen_in_training_are_those_of_the_same_dataset_in_any_form() -> None:
    learned = {"dataset": "folder", "subjects": ["Ann", "Ben"]}
    assert training_subjects(learned, "folder") == training_subjects(learned, "table") == {"Ann", "Ben"}
    assert training_subjects(learned, "jaffe") == frozenset()
    assert training_subjects({"dataset": "folder", "subjects": []}, "table") is None
    assert training_subjects({}, "folder") is None


def test_groups_are_subjects_then_clips_then_images() -> None:
    def found(**columns: list[str]) -> tuple[str, int]:
        groups, by = resampling_groups(rows(**columns)[1])
        return by, int(groups.max())

    assert found() == ("image", 39)
    assert found(subjects=["a", "b", "c"]) == ("subject", 2)
    assert found(clips=["a", "b"]) == ("clip", 1)
    # Nobody is named, or there is just one: an interval over one subject would have no width.
    assert found(subjects=["", ""])[0] == "image"
    assert found(subjects=["a"])[0] == "image"
    assert found(subjects=["a"], clips=["x", "y"])[0] == "image"
    assert predict(*rows()).split == "all"


def test_the_result_names_subjects_the_worst_first() -> None:
    fake, some = rows(42, subjects=["b", "a", ""])
    fake.planted["fer7"][1::3] = 0  # all of a's: the prediction is anger
    result = evaluate(fake, some)
    subjects = result.groups["subject"]
    assert [(name, figures.n) for name, figures in subjects.items()] == [("a", 14), ("b", 14)]
    assert subjects["a"].accuracy == pytest.approx(2 / 14)
    assert subjects["b"].accuracy == 1
    assert result.split == "all"
    assert result.auc is not None
    alone = evaluate(*rows(1))
    assert (alone.auc, alone.groups) == (None, {})


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
