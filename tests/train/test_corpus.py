from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

import mien
from face_tables import make_rows, pixels_of, table_text, votes_text, write_table
from mien.data import load_images
from mien.errors import DatasetError, InputError
from mien.evaluate import softmax
from mien.train.corpus import class_weights
from mien.train.faces import fit_images
from mien.train.kinds import build_for, kind_of, list_training, load_split
from mien.train.recipe import Distillation, Domain, Recipe, load_recipe

N_TRAINING, N_PUBLIC, N_COPIES = 35, 14, 3
RECIPE = Recipe(name="own")


def test_both_kinds_of_labels_are_joined(data: Path) -> None:
    training, validation = load_split(RECIPE, data)
    assert (len(training), len(validation)) == (N_TRAINING - N_COPIES, N_PUBLIC)
    assert training.inputs["images"].dtype == np.uint8
    assert training.inputs["images"].shape[1:] == (48, 48)
    np.testing.assert_array_equal(validation.truth["fer7"], np.arange(N_PUBLIC) % 7)
    np.testing.assert_allclose(validation.targets["ferplus8"].sum(axis=1), 1, atol=1e-6)
    # anger: eight votes of anger, two of neutral
    np.testing.assert_allclose(validation.targets["ferplus8"][0], [0.2, 0, 0, 0, 0.8, 0, 0, 0], atol=1e-6)
    assert validation.truth["ferplus8"][0] == 4
    # The image without a face keeps FER2013's label.
    assert training.truth["ferplus8"][4] == -1
    assert training.truth["fer7"][4] == 4
    assert training.targets["ferplus8"][4].sum() == 0


def test_copies_of_the_validation_images_are_dropped_from_training(data: Path) -> None:
    training, validation = load_split(RECIPE, data)
    held_out = {image.tobytes() for image in validation.inputs["images"]}
    assert not any(image.tobytes() in held_out for image in training.inputs["images"])
    everything, _ = load_split(replace(RECIPE, drop_overlap=False), data)
    assert len(everything) == N_TRAINING
    assert sum(image.tobytes() in held_out for image in everything.inputs["images"]) == N_COPIES
    np.testing.assert_array_equal(everything.inputs["images"][: len(training)], training.inputs["images"])
    np.testing.assert_array_equal(everything.truth["fer7"][: len(training)], training.truth["fer7"])


def test_votes_may_lie_elsewhere(data: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "votes.csv"
    elsewhere.write_bytes((data / "fer2013new.csv").read_bytes())
    _, validation = load_split(RECIPE, data / "fer2013.csv", labels=elsewhere)
    assert len(validation) == N_PUBLIC


def test_missing_files_and_splits_raise(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere"):
        load_split(RECIPE, tmp_path / "nowhere")
    rows = make_rows(["Training"] * 4)
    write_table(tmp_path / "fer2013.csv", table_text(rows))
    with pytest.raises(DatasetError, match=r"fer2013new\.csv"):
        load_split(RECIPE, tmp_path)
    write_table(tmp_path / "fer2013new.csv", votes_text([("Training", [10] + [0] * 9)] * 4))
    with pytest.raises(DatasetError, match="lacks the split PublicTest: training needs both"):
        load_split(RECIPE, tmp_path)
    assert pixels_of(rows).shape == (4, 48, 48)


def test_one_dataset_alone_is_one_head(data: Path) -> None:
    training, validation = load_split(Recipe(name="x", dataset="fer2013"), data)
    assert training.heads == validation.heads == {"fer7": 7}
    assert training.voted == ()
    np.testing.assert_array_equal(training.targets["fer7"].argmax(axis=1), training.truth["fer7"])
    votes, _ = load_split(Recipe(name="x", dataset="ferplus"), data)
    assert (votes.heads, votes.voted) == ({"ferplus8": 8}, ("ferplus8",))
    hard, _ = load_split(Recipe(name="x", dataset="ferplus", labels="hard"), data)
    assert hard.voted == ()
    assert set(np.unique(hard.targets["ferplus8"])) == {0.0, 1.0}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for emotion in ("happy", "sad", "angry"):
        (tmp_path / emotion).mkdir()
        for number in range(20):
            image = generator.integers(0, 255, (48, 48), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / emotion / f"{number}.png"), image)
    return tmp_path


def test_without_a_split_a_share_of_every_class_is_held_out(tree: Path) -> None:
    recipe = Recipe(name="x", dataset="folder", validation_share=0.2)
    training, validation = load_split(recipe, tree)
    assert (len(training), len(validation)) == (48, 12)
    for part, each in ((training, 16), (validation, 4)):
        assert sorted(np.unique(part.labels, return_counts=True)[1]) == [each] * 3
    again, _ = load_split(recipe, tree)
    np.testing.assert_array_equal(again.inputs["images"], training.inputs["images"])
    other, _ = load_split(replace(recipe, seed=2), tree)
    assert not np.array_equal(other.inputs["images"], training.inputs["images"])


def test_copies_are_not_held_out_from_each_other(tree: Path) -> None:
    for number in range(20):  # every image of one class is the same
        (tree / "sad" / f"{number}.png").write_bytes((tree / "sad" / "0.png").read_bytes())
    training, validation = load_split(Recipe(name="x", dataset="folder", validation_share=0.2), tree)
    sad = [int((part.labels == 2).sum()) for part in (training, validation)]
    assert sorted(sad) == [0, 20]


def test_a_test_split_is_not_read(tree: Path) -> None:
    for split in ("train", "val", "test"):
        (tree / split).mkdir()
    for emotion in ("happy", "sad", "angry"):
        (tree / emotion).rename(tree / "train" / emotion)
        for split in ("val", "test"):
            (tree / split / emotion).mkdir()
            image = np.random.default_rng(len(emotion + split)).integers(0, 255, (48, 48), dtype=np.uint8)
            cv2.imwrite(str(tree / split / emotion / "a.png"), image)
    training, validation = load_split(Recipe(name="x", dataset="folder"), tree)
    assert (set(training.samples.splits.tolist()), set(validation.samples.splits.tolist())) == ({"train"}, {"val"})
    assert (len(training), len(validation)) == (60, 3)


@pytest.mark.parametrize(("train", "val"), [("Train", "Validation"), ("TRAINING", "VAL"), ("training", "Dev")])
def test_splits_are_known_in_any_case_and_others_are_named(tree: Path, train: str, val: str) -> None:
    for split in (train, val, "Extra"):
        (tree / split).mkdir()
    for emotion in ("happy", "sad", "angry"):
        (tree / emotion).rename(tree / train / emotion)
        for split in (val, "Extra"):
            (tree / split / emotion).mkdir()
            (tree / split / emotion / "a.png").write_bytes((tree / train / emotion / "0.png").read_bytes())
    recipe, lines = Recipe(name="x", dataset="folder", drop_overlap=False), list[str]()
    assert len(list_training(recipe, tree, report=lines.append)[0]) == 63
    assert lines == ["left out: 3 images of the split Extra, kept for final tests"]
    training, validation = load_split(recipe, tree)
    assert (len(training), len(validation)) == (60, 3)
    assert set(validation.samples.splits.tolist()) == {val}
    assert len(load_images("folder", tree, split=val.lower())) == 3


def test_the_head_has_the_classes_that_occur(tree: Path, data: Path) -> None:
    training, validation = load_split(Recipe(name="x", dataset="folder"), tree)
    (labels,) = training.label_sets.values()
    assert labels.emotions == ("anger", "happiness", "sadness")
    assert training.heads == validation.heads == {labels.name: 3}
    words = [file.split("/")[0] for file in training.samples.files.tolist()]
    meaning = {"angry": "anger", "happy": "happiness", "sad": "sadness"}
    assert [labels.emotions[i] for i in training.labels] == [meaning[word] for word in words]
    np.testing.assert_array_equal(training.targets[labels.name].argmax(axis=1), training.labels)
    # A published dataset has its own classes, also where some do not occur.
    rows = [line for line in (data / "fer2013.csv").read_text().splitlines() if not line.startswith("1,")]
    (tree / "part.csv").write_text("\n".join(rows))
    assert load_split(Recipe(name="x", dataset="fer2013"), tree / "part.csv")[0].heads == {"fer7": 7}


def test_an_unknown_dataset_raises() -> None:
    with pytest.raises(InputError, match=r"unknown dataset 'fer': expected one of fer2013, .*, ravdess, "):
        Recipe(name="x", dataset="fer")


def test_crops_of_another_size_are_sampled_as_at_use() -> None:
    images = np.random.default_rng(0).integers(0, 255, (3, 48, 48), dtype=np.uint8)
    assert fit_images(images, 48) is images
    halved = fit_images(images, 24)
    expected = images.reshape(3, 24, 2, 24, 2).mean(axis=(2, 4))  # by area
    np.testing.assert_allclose(halved, expected, atol=0.51)


def test_a_network_of_another_kind_raises(tree: Path) -> None:
    recipe = Recipe(name="x", dataset="folder", net="mel_cnn")
    with pytest.raises(InputError, match="recipe 'x': mel_cnn is for audio, but folder is image"):
        build_for(recipe, {"fer7": 7})


def test_class_weights_are_those_of_scikit_learn(tree: Path) -> None:
    utils = pytest.importorskip("sklearn.utils.class_weight")
    corpus, _ = load_split(Recipe(name="x", dataset="folder"), tree)
    corpus = corpus.take((np.arange(len(corpus)) % 5 > 0) & (corpus.labels != 1))
    (weights,) = class_weights(corpus).values()
    present = np.unique(corpus.labels)
    expected = utils.compute_class_weight("balanced", classes=present, y=corpus.labels)
    np.testing.assert_allclose(weights[present], expected, rtol=1e-5)
    assert not np.delete(weights, present).any()


def test_a_second_dataset_is_learned_by_all_heads(data: Path, photographs: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, domain=Domain("photographs", str(photographs), repeat=2))
    training, _ = load_split(recipe, data)
    both = kind_of(recipe).extend(recipe, training, tmp_path)
    other = load_images("photographs", photographs, split="training")
    assert len(both) == len(training) + 2 * len(other)
    np.testing.assert_array_equal(both.inputs["images"][: len(training)], training.inputs["images"])
    for row in range(len(training), len(both)):
        at = (row - len(training)) // 2
        np.testing.assert_array_equal(both.inputs["images"][row], other.images[at])
        for head, labels in both.label_sets.items():
            assert labels.emotions[both.truth[head][row]] == other.emotion(at)
            assert both.targets[head][row].argmax() == both.truth[head][row]
        # The loss smooths single labels; of votes, the others are smoothed here.
        assert both.targets["fer7"][row].max() == 1
        assert both.targets["ferplus8"][row].max() == pytest.approx(0.9 + 0.1 / 8)
    groups = both.group[len(training) :]
    assert len(set(groups.tolist())) == len(other)
    assert set(groups.tolist()).isdisjoint(training.group.tolist())


def test_teachers_share_the_targets(data: Path, photographs: Path, tmp_path: Path) -> None:
    domain = Domain("photographs", str(photographs))
    plain = replace(RECIPE, domain=domain)
    taught = replace(plain, distillation=Distillation(("face-base",), fixed=True, weight=0.25, temperature=2.0))
    training, _ = load_split(plain, data)
    own, found, again = (kind_of(recipe).extend(recipe, training, tmp_path) for recipe in (plain, taught, taught))
    analyzer = mien.FaceAnalyzer("face-base")
    images = own.inputs["images"]
    crops = np.repeat(np.concatenate([images, images[:, :, ::-1]])[..., None], 3, axis=3)
    logits = {head: analyzer.logits(crops)[head] for head in own.targets}
    for head, targets in own.targets.items():
        expected = softmax(logits[head] / 2).reshape(2, len(own), -1).mean(axis=0)
        labeled = targets.sum(axis=1, keepdims=True) > 0
        blend = np.where(labeled, 0.25 * expected + 0.75 * targets, expected)
        np.testing.assert_allclose(found.targets[head], blend, atol=0.03)  # computed in bfloat16
        np.testing.assert_array_equal(again.targets[head], found.targets[head])


def test_other_kinds_have_no_second_dataset(data: Path, tmp_path: Path) -> None:
    recipe = replace(load_recipe("cnn-lstm"), domain=Domain("photographs", "."))
    with pytest.raises(InputError, match="video has neither domain nor"):
        kind_of(recipe).extend(recipe, load_split(RECIPE, data)[0], tmp_path)
