from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mien.errors import InputError
from mien.labels import BAUM8, FER7, FERPLUS8, LABEL_SETS, RAVDESS8, LabelSet, can_map, canonical, label_set, mapping

ORDERS = {
    # The published code books, in the order of their codes or columns.
    FER7: "anger disgust fear happiness sadness surprise neutral",
    FERPLUS8: "neutral happiness surprise sadness anger disgust fear contempt",
    RAVDESS8: "neutral calm happiness sadness anger fear disgust surprise",
    BAUM8: "neutral anger contempt disgust fear happiness sadness surprise",
}

SYNONYMS = {
    "anger": ["angry", "Anger", " ANGRY "],
    "disgust": ["disgusted"],
    "fear": ["fearful", "afraid", "scared"],
    "happiness": ["happy", "joy", "Happy"],
    "sadness": ["sad"],
    "surprise": ["surprised"],
    "neutral": ["neutrality"],
    "contempt": ["contemptuous"],
    "calm": ["Calm\n"],
}


@pytest.mark.parametrize(("noun", "words"), SYNONYMS.items())
def test_synonyms_become_the_noun(noun: str, words: list[str]) -> None:
    assert [canonical(word) for word in (noun, *words)] == [noun] * (len(words) + 1)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("hungry", "unknown emotion 'hungry': expected one of anger, calm, contempt, "),
        ("", "unknown emotion ''"),
        (3, "an emotion must be a word, but got int"),
        (None, "an emotion must be a word, but got NoneType"),
    ],
)
def test_other_words_are_refused(word: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        canonical(word)  # type: ignore[arg-type]


@pytest.mark.parametrize("labels", ORDERS)
def test_sets_are_in_their_published_order(labels: LabelSet) -> None:
    assert " ".join(labels.emotions) == ORDERS[labels]
    assert labels.source
    assert label_set(labels.name) is labels
    assert [labels.index(emotion) for emotion in labels.emotions] == list(range(len(labels)))


def test_every_set_is_found_by_name() -> None:
    assert set(LABEL_SETS.values()) == set(ORDERS)
    for name in ("fer8", "", "FER7", None, ["fer7"]):
        with pytest.raises(InputError, match=r"unknown label set .*: expected one of fer7, ferplus8, ravdess8, baum8"):
            label_set(name)  # type: ignore[arg-type]


def test_a_position_is_found_by_synonym() -> None:
    assert FER7.index("Happy") == 3
    with pytest.raises(InputError, match="fer7 has no 'contempt': it has anger, disgust"):
        FER7.index("contempt")


@pytest.mark.parametrize(
    ("emotions", "message"),
    [
        ((), "label set 'own' is empty"),
        (("happy",), "label set 'own' must use 'happiness', but got 'happy'"),
        (("anger", "anger"), "label set 'own' names an emotion twice"),
        (("Bored",), "label set 'own' must use 'bored', but got 'Bored'"),
        (("",), "label set 'own' must use 'words', but got ''"),
    ],
)
def test_a_set_checks_itself(emotions: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LabelSet("own", emotions)


def test_a_set_of_ones_own_words() -> None:
    own = LabelSet("moods", ("bored", "happiness"))
    assert (own.index("Bored"), own.index("happy")) == (0, 1)
    with pytest.raises(InputError, match="unknown emotion 'tired'"):
        own.index("tired")
    with pytest.raises(InputError, match="moods has no 'anger': it has bored, happiness"):
        own.index("angry")
    with pytest.raises(InputError, match="no mapping from moods to fer7: 'bored' has no place there"):
        mapping(own, FER7)
    assert not can_map(own, FER7)
    assert can_map(FERPLUS8, FER7)
    assert LabelSet.from_data(own.to_data()) == own
    assert FER7.to_data() == "fer7"
    assert LabelSet.from_data("fer7") is FER7


def test_contempt_is_dropped_and_the_rest_renormalized() -> None:
    #        neutral happiness surprise sadness anger disgust fear contempt
    votes = [0.20, 0.10, 0.05, 0.15, 0.10, 0.05, 0.10, 0.25]
    mapped = mapping(FERPLUS8, FER7)
    # anger disgust fear happiness sadness surprise neutral, over the remaining 0.75
    expected = np.array([0.10, 0.05, 0.10, 0.10, 0.15, 0.05, 0.20]) / 0.75
    np.testing.assert_allclose(mapped.apply(np.array(votes)), expected, atol=1e-12)
    assert mapped.note == "contempt is dropped and the rest renormalized"


def test_calm_merges_into_neutral() -> None:
    #        neutral calm happiness sadness anger fear disgust surprise
    votes = [0.1, 0.3, 0.2, 0.05, 0.05, 0.1, 0.1, 0.1]
    mapped = mapping(RAVDESS8, FER7)
    np.testing.assert_allclose(mapped.apply(np.array(votes)), [0.05, 0.1, 0.1, 0.2, 0.05, 0.1, 0.4], atol=1e-12)
    assert mapped.note == "calm counts as neutral"


def test_what_lies_on_dropped_labels_alone_becomes_uniform() -> None:
    only_contempt = np.eye(8)[FERPLUS8.index("contempt")]
    rows = np.stack([only_contempt, np.eye(8)[0]])
    mapped = mapping(FERPLUS8, FER7).apply(rows)
    np.testing.assert_allclose(mapped[0], np.full(7, 1 / 7))
    np.testing.assert_array_equal(mapped[1], np.eye(7)[FER7.index("neutral")])


def test_baum8_is_ferplus8_in_its_own_order() -> None:
    mapped = mapping(FERPLUS8, BAUM8)
    assert mapped.note == "one to one"
    for position, emotion in enumerate(FERPLUS8.emotions):
        assert mapped.apply(np.eye(8)[position]).argmax() == BAUM8.index(emotion)
    back = mapping(BAUM8, FERPLUS8)
    np.testing.assert_array_equal(mapped.weights @ back.weights, np.eye(8))


@pytest.mark.parametrize("labels", ORDERS)
def test_a_set_maps_to_itself_unchanged(labels: LabelSet) -> None:
    np.testing.assert_array_equal(mapping(labels, labels).weights, np.eye(len(labels)))


def test_a_label_without_a_place_is_refused() -> None:
    happy = LabelSet("happy", ("happiness",))
    with pytest.raises(InputError, match="no mapping from fer7 to happy: 'anger' has no place there"):
        mapping(FER7, happy)
    calm = LabelSet("calm_only", ("calm",))
    with pytest.raises(InputError, match="no mapping from calm_only to happy: 'calm' has no place there"):
        mapping(calm, happy)


def test_the_last_axis_must_fit() -> None:
    mapped = mapping(FERPLUS8, FER7)
    for wrong in (np.zeros(7), np.zeros((8, 3)), np.float64(1)):
        with pytest.raises(InputError, match=r"probabilities must have 8 values \(ferplus8\)"):
            mapped.apply(wrong)
    assert mapped.apply(np.full((2, 3, 8), 1 / 8)).shape == (2, 3, 7)
    assert mapped.apply(np.zeros((0, 8))).shape == (0, 7)


@given(
    pair=st.sampled_from([(FERPLUS8, FER7), (RAVDESS8, FER7), (BAUM8, FER7), (FER7, FERPLUS8), (RAVDESS8, BAUM8)]),
    weights=arrays(np.float64, (3, 8), elements=st.floats(0, 1)),
)
def test_mapped_distributions_are_distributions(pair: tuple[LabelSet, LabelSet], weights: np.ndarray) -> None:
    source, target = pair
    raw = weights[:, : len(source)] + 1e-6
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    mapped = mapping(source, target).apply(probabilities)
    assert (mapped >= 0).all()
    np.testing.assert_allclose(mapped.sum(axis=1), 1, atol=1e-9)
    # Of labels that stay, the ratio stays.
    kept = [e for e in source.emotions if e in target.emotions and not (e == "neutral" and "calm" in source.emotions)]
    before = probabilities[:, [source.index(e) for e in kept]]
    after = mapped[:, [target.index(e) for e in kept]]
    np.testing.assert_allclose(after * before[:, :1], before * after[:, :1], atol=1e-9)
