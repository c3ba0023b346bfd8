"""Heads learn from two corpora of speech: the labels of both in one set, and both about equally often."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from mien.data.samples import Samples
from mien.errors import InputError
from mien.train.kinds import kind_of, list_training
from mien.train.recipe import load_recipe, override
from mien.train.speech import Speech
from speech_corpora import ravdess_names, touch


def planted(_: Speech, recipe: Any, net: Any, samples: Samples, views: int) -> np.ndarray:
    """Embeddings that say the row and the copy."""
    found = np.zeros((len(samples), 1 + views, 2048), np.float32)
    found[:, :, 0] = np.arange(len(samples))[:, None]
    found[:, :, 1] = np.arange(1 + views)
    return found


def test_a_head_learns_from_two_corpora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Speech, "_embeddings", planted)
    first = touch(tmp_path / "ravdess", ravdess_names([1, 2])[::10])
    words = ("anger", "surprised", "neutral")
    second = touch(tmp_path / "nemo", [f"WR0_{word}_{n}.opus" for word in words for n in range(1, 11)])
    recipe = override(load_recipe("speech-campplus"), [f"domain.path={second}", "init=some.pt"])
    kind = kind_of(recipe)
    corpus = kind.make_corpus(recipe, list_training(recipe, first))
    assert corpus.inputs["embeddings"].shape == (12, 5, 2048)
    both = kind.extend(recipe, corpus, tmp_path)
    assert len(both) == 12 * 2 + 30  # the smaller corpus as often as it fits
    labels = both.label_sets["ravdess8"].emotions
    assert [labels[k] for k in both.truth["ravdess8"][24::10]] == ["anger", "neutral", "surprise"]
    np.testing.assert_array_equal(both.targets["ravdess8"].argmax(axis=1), both.truth["ravdess8"])
    assert both.samples.subjects[-1] == "WR0"
    assert both.inputs["embeddings"][30, :, 1].tolist() == [0, 1, 0, 1, 0]  # the recording and its one copy in turns
    assert not set(both.group[:24].tolist()) & set(both.group[24:].tolist())


def test_embeddings_need_weights_to_start_from(tmp_path: Path) -> None:
    folder = touch(tmp_path, ravdess_names([1]))
    for change in ("init=", "freeze=[]"):
        recipe = override(load_recipe("speech-campplus"), [change])
        with pytest.raises(InputError, match="views needs init and freeze"):
            kind_of(recipe).make_corpus(recipe, list_training(recipe, folder))


def test_embeddings_have_no_changed_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Speech, "_embeddings", planted)
    recipe = load_recipe("speech-campplus")
    corpus = kind_of(recipe).make_corpus(recipe, list_training(recipe, touch(tmp_path, ravdess_names([1]))))
    with pytest.raises(InputError, match="there is no way 'copies'"):
        kind_of(recipe).with_copies(recipe, corpus)
