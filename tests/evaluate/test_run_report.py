from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mien.errors import DatasetError, ModelError
from mien.evaluate.documents import describe_machine, escape, section, table
from mien.evaluate.run_report import write_run_report
from mien.output import plots
from planted import write_planted
from planted_speech import planted_speech
from run_folders import history_rows, image_size, write_history, write_run


def test_a_finished_run(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a")
    write_run_report(folder)
    text = (folder / "report.md").read_text("utf-8")
    for line in (
        "# tiny",
        "a \\*tiny\\* net",
        "5 of 5 epochs, 5.0 minutes of training (60.0 s an epoch), best epoch 4, finished 2026-01-31.",
        "| fer7 | fer2013 | PublicTest | published labels | accuracy | 0.7000 | 0.6800 to 0.7200 | 3589 |",
        "The epoch was chosen on FER2013 PublicTest: expect a little less on new images.",
        "- FER2013 Training: 28000 images",
        "| parameters | 1,234,567 |",
        "| anger | 100.00 | 100.00 | 100.00 | 2 | 2 |",
        "| happiness | - | 0.00 | 0.00 | 1 | 0 |",
        "| neutral | - | - | - | 0 | 0 |",
        "| loss.mixup | 0.4 |",
        f"| Python | {sys.version.split()[0]} |",
    ):
        assert line in text.splitlines()
    (best,) = [line for line in text.splitlines() if "(best)" in line]
    assert best.startswith("| 4 (best) | 60 | 0.1 | 0.5 | 2.5 | 0.44 |")
    for name in ("curves.png", "confusion.png"):
        assert f"]({name})" in text
        assert min(image_size(folder / name)) > 300
    assert sorted(p.name for p in folder.iterdir() if p.name.startswith(".")) == []


@pytest.mark.parametrize(("record", "unit"), [(write_planted, "images"), (planted_speech, "clips"), (None, "rows")])
def test_counts_are_called_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Callable[[Path], object] | None, unit: str
) -> None:
    folder = write_run(tmp_path / "a", finished=False)
    np.savez(folder / "validation.npz", truth_fer7=np.array([0, 1]), probabilities_fer7=np.eye(7)[[0, 2]])
    if record is not None:
        record(folder)
    seen = []
    draw = plots.confusion_pairs
    monkeypatch.setattr(plots, "confusion_pairs", lambda items, *, unit: seen.append(unit) or draw(items, unit=unit))
    write_run_report(folder)
    assert seen == [unit]


def test_an_unfinished_run_says_so(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", epochs=2, planned=9, finished=False)
    write_run_report(folder)
    text = (folder / "report.md").read_text()
    assert "Note: unfinished: 2 of 9 epochs, no model.toml yet." in text
    assert "Not finished; at epoch 1, the best so far, on the validation rows:" in text
    assert "| fer7 | accuracy | 0.4100 |" in text
    assert "Not yet: there is no `validation.npz`." in text
    assert (folder / "curves.png").is_file()
    assert not (folder / "confusion.png").exists()


def test_a_run_without_an_epoch(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", finished=False)
    (folder / "history.csv").unlink()
    write_run_report(folder)
    text = (folder / "report.md").read_text()
    assert text.count("None yet.") == 2
    assert "curves.png" not in text


def test_without_matplotlib_there_is_a_report_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_run(tmp_path / "a")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    write_run_report(folder)
    text = (folder / "report.md").read_text()
    assert 'No chart: drawing charts needs matplotlib: pip install "mien\\[plot\\]".' in text
    assert not (folder / "curves.png").exists()


def test_a_second_report_replaces_the_first(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", epochs=2, finished=False)
    write_run_report(folder)
    write_run(folder)
    write_run_report(folder)
    assert "Note:" not in (folder / "report.md").read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "validation.npz is damaged"),
        (b"PK\x03\x04", "validation.npz is damaged"),
        ({"truth_fer7": np.zeros(3, int)}, r"truth_fer7 and probabilities_fer7 must be of shape \(n,\) and \(n, k\)"),
        ({"truth_fer7": np.zeros(3, int), "probabilities_fer7": np.ones((2, 7))}, "must be of shape"),
        ({"truth_fer7": np.zeros(3), "probabilities_fer7": np.ones((3, 7))}, "must be of shape"),
        ({"truth_fer7": np.full(3, 7), "probabilities_fer7": np.ones((3, 7))}, "class numbers under 7, but holds 7"),
        ({"truth_fer7": np.array([None])}, "validation.npz is damaged: Object arrays cannot be loaded"),
    ],
)
def test_damaged_answers(tmp_path: Path, content: bytes | dict[str, np.ndarray], message: str) -> None:
    folder = write_run(tmp_path / "a")
    if isinstance(content, bytes):
        (folder / "validation.npz").write_bytes(content)
    else:
        np.savez(folder / "validation.npz", **content)
    with pytest.raises(ModelError, match=message):
        write_run_report(folder)


def test_what_is_no_run_or_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no run folder"):
        write_run_report(tmp_path)
    folder = write_run(tmp_path / "a", finished=False)
    (folder / "report.md").mkdir()
    with pytest.raises(DatasetError, match=r"cannot write .*report\.md: Is a directory"):
        write_run_report(folder)


def test_labels_of_heads_that_nobody_knows_are_numbers(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a")
    np.savez(folder / "validation.npz", truth_own=np.array([0, 1]), probabilities_own=np.eye(2), other=np.ones(1))
    write_run_report(folder)
    assert "| 1 | 100.00 | 100.00 | 100.00 | 1 | 1 |" in (folder / "report.md").read_text()


def test_markdown_shows_names_as_they_are() -> None:
    assert escape("a|b*_[x]<i>\n$") == "a\\|b\\*\\_\\[x\\]\\<i\\>\\\\n\\$"
    assert table(("a", "b"), [("|", 1)], right=(1,)) == "| a | b |\n| --- | --: |\n| \\| | 1 |"
    assert section("x", "", "y") == "## x\n\ny"


def test_describe_machine() -> None:
    facts = describe_machine()
    assert {"cores", "system", "Python", "mien", "numpy"} <= set(facts)
    assert all(facts.values())


def test_free_content_of_a_record_may_be_anything(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a")
    record = (folder / "model.toml").read_text()
    record = record.replace('data = ["FER2013 Training: 28000 images"]', 'data = "one line"')
    (folder / "model.toml").write_text(record.replace("parameters = 1234567", 'parameters = "many"'))
    (folder / "config.toml").write_text("name = 3\ndescription = [1]\nepochs = 'x'\nnet = 1979-05-27\n")
    write_run_report(folder)
    text = (folder / "report.md").read_text()
    assert text.startswith("# 3\n")
    assert "- one line\n" in text
    assert "many" not in text


def test_a_run_that_diverged(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", finished=False)
    rows = history_rows(4)
    for row in rows[2:]:
        row |= {"train_loss": "inf", "val_loss": "nan", "val_fer7_auc": ""}
    write_history(folder, rows)
    write_run_report(folder)
    assert min(image_size(folder / "curves.png")) > 300
    assert "| 3 (best) | 60 | 0.1 | inf | nan |" in (folder / "report.md").read_text()
