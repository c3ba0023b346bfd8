"""The command on a graph with its record, as users have them; see `test_evaluate_clips` for all its cases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mien.cli import main
from mien.labels import RAVDESS8
from planted_speech import planted_speech, said
from speech_corpora import ravdess_names, write_wav


def test_a_run_folder_on_a_corpus(tmp_path: Path) -> None:
    planted_speech(tmp_path / "run")
    for name in ravdess_names([1, 3]):
        _, _, emotion, _, statement, repetition, actor = (int(code) for code in Path(name).stem.split("-"))
        if (statement, repetition) == (1, 1):
            answer = RAVDESS8.emotions[(emotion - 1 + (actor == 3 and emotion > 4)) % 8]
            write_wav(tmp_path / "c" / name, said(answer, 1.0))
    fixed = ("evaluate", str(tmp_path / "run"), "ravdess", "--data", str(tmp_path / "c"), "--json")
    done = CliRunner().invoke(main, [*fixed, "--noise"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["n"], found["seen_speakers"], found["n_unseen"]) == (30, ["01"], 15)
    assert found["by_speaker"]["01"]["accuracy"] == 1
    assert found["uar_unseen"] == pytest.approx(0.5)
    assert found["accuracy"] == pytest.approx((15 + 7) / 30)
    assert found["noise"][0]["accuracy"] == pytest.approx(found["accuracy"])
    assert "mien: caution: planted-speech was trained on 1 of the 2 speakers" in done.stderr
