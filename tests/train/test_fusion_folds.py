"""Nets of folds as one model: who answers whom, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mien.data import Samples
from mien.data.samples import Row
from mien.errors import DatasetError
from mien.labels import FER7

pytest.importorskip("torch")

from mien.train.fusion_folds import _fold_of, _told


def clips(*subjects: str) -> Samples:
    rows = [Row(f"{i}.wav", "anger", subject, f"{i}.wav") for i, subject in enumerate(subjects)]
    return Samples.from_rows(rows, name="made", kind="audio", source="x", label_set=FER7)


def test_each_speaker_is_answered_by_the_net_that_was_tested_on_it() -> None:
    found = _fold_of(clips("b", "a", "c", "a"), [["a"], ["b", "c"]], Path("run"))
    assert found.tolist() == [1, 0, 1, 0]
    with pytest.raises(DatasetError, match="run was trained without d, e: which net has not heard them"):
        _fold_of(clips("a", "e", "d"), [["a"], ["b"]], Path("run"))


def test_the_folder_tells_speakers_and_temperature(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no folds over speakers of a recipe of speech"):
        _told(tmp_path)
    results = [{"way": "random", "subjects": []}, {"way": "subject", "subjects": [["01", "02"], ["03"]]}]
    (tmp_path / "folds.json").write_text(json.dumps({"k": 2, "results": results}), encoding="utf-8")
    with pytest.raises(DatasetError, match="holds no folds over speakers"):
        _told(tmp_path)
    (tmp_path / "subject-2").mkdir()
    (tmp_path / "subject-2" / "out-of-fold.json").write_text('{"temperature_fitted": 0.9}', encoding="utf-8")
    assert _told(tmp_path) == ([["01", "02"], ["03"]], 0.9, tmp_path / "subject-2")
    (tmp_path / "folds.json").write_text("[", encoding="utf-8")
    with pytest.raises(DatasetError, match="holds no folds over speakers"):
        _told(tmp_path)
