from __future__ import annotations

import numpy as np
import pytest

from mien.data import Samples
from mien.errors import InputError, ModelError
from mien.evaluate import evaluate
from mien.evaluate.answers import answer, choose_output, mapping_to
from mien.labels import FER7, FERPLUS8, RAVDESS8, LabelSet, mapping
from planted_answers import Fake, data, make_images, output, spec

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


@pytest.mark.parametrize(("source", "target"), [(FER7, FER7), (FERPLUS8, FER7), (RAVDESS8, FERPLUS8)])
def test_a_mapping_that_labels_has_stays_as_it_is(source: LabelSet, target: LabelSet) -> None:
    own, expected = mapping_to(source, target), mapping(source, target)
    np.testing.assert_array_equal(own.weights, expected.weights)
    assert own.note.startswith(expected.note)


def test_what_the_data_does_not_have_is_dropped_and_said() -> None:
    mapped = mapping_to(FERPLUS8, CK7)
    assert mapped.note == "neutral is dropped and the rest renormalised"
    p = np.full(8, 1 / 8)
    np.testing.assert_allclose(mapped.apply(p), np.full(7, 1 / 7))
    assert mapping_to(FER7, CK7).note == ("neutral is dropped and the rest renormalised; contempt is never answered")
    assert mapping_to(FERPLUS8, SIX).note == (
        "contempt is dropped and the rest renormalised; neutral is dropped and the rest renormalised"
    )
    assert mapping_to(RAVDESS8, SIX).note == "neutral and calm are dropped and the rest renormalised"
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


def test_groups_are_subjects_then_clips_then_images() -> None:
    fake, plain = rows()
    found = answer(fake, plain)
    assert (found.groups_by, found.groups.max(), found.split) == ("image", 39, "all")
    assert (answer(*rows(subjects=["a", "b", "c"])).groups_by, answer(*rows(clips=["a", "b"])).groups_by) == (
        "subject",
        "clip",
    )
    assert answer(*rows(subjects=["a", "b", "c"])).groups.max() == 2
    # Nobody is named, or there is just one: an interval over one subject would have no width.
    assert answer(*rows(subjects=["", ""])).groups_by == "image"
    assert answer(*rows(subjects=["a"])).groups_by == "image"
    assert answer(*rows(subjects=["a"], clips=["x", "y"])).groups_by == "image"


def test_the_result_names_subjects_the_worst_first() -> None:
    fake, some = rows(42, subjects=["b", "a", ""])
    fake.planted["fer7"][1::3] = 0  # all of a's: the answer is anger
    result = evaluate(fake, some)
    assert [(s.subject, s.n) for s in result.per_subject] == [("a", 14), ("b", 14)]
    assert result.per_subject[0].accuracy == pytest.approx(2 / 14)
    assert result.per_subject[1].accuracy == 1
    assert result.split == "all"
    assert result.auc is not None
    alone = evaluate(*rows(1))
    assert (alone.auc, alone.per_subject) == (None, ())
