from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mien.errors import InputError, ModelError
from mien.evaluate.runs import Figure, best_metric, chart_series, find_model, read_run, split_names
from run_folders import history_rows, write_history, write_run


def test_a_finished_run(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "a"))
    assert (run.name, run.net, run.parameters, run.notes) == ("a", "cnn", 1234567, ())
    assert run.size_mb == pytest.approx((tmp_path / "a" / "model.onnx").stat().st_size / 1e6)
    assert (run.epochs_planned, len(run.history), run.best_epoch, run.minutes) == (5, 5, 4, 5.0)
    assert run.heads == ("ferplus8", "fer7")
    assert run.figure("fer7", "accuracy") == Figure(0.7, 0.68, 0.72)
    assert run.figure("fer7", "uar") == Figure(0.44)  # not in the record: of the best epoch
    assert run.figure("ferplus8", "uar") is None
    assert run.series("val_fer7_auc")[3] == (4, 0.44)
    plain = json.loads(json.dumps(run.to_dict(), allow_nan=False))
    assert plain["heads"]["fer7"]["accuracy"] == {"value": 0.7, "low": 0.68, "high": 0.72}
    assert plain["at_best_epoch"]["val_fer7_binary_accuracy"] == 0.44


def test_an_unfinished_run(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "a", epochs=3, planned=9, finished=False))
    assert (run.spec, run.parameters, run.size_mb, run.best_epoch) == (None, None, None, 2)
    assert run.heads == ("fer7",)
    assert run.figure("fer7", "accuracy") == Figure(0.42)
    assert run.notes == ("unfinished: 3 of 9 epochs, no model.toml yet",)


def test_a_run_that_has_just_begun(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", finished=False)
    (folder / "history.csv").unlink()
    run = read_run(folder)
    assert (run.history, run.heads, run.best_epoch, run.minutes) == ((), (), None, None)
    assert run.notes == ("unfinished: 0 of 5 epochs, no model.toml yet",)
    (folder / "history.csv").write_text("")
    assert read_run(folder).history == ()


@pytest.mark.parametrize("head", ["fer7", "a_b", "x_macro"])
def test_heads_are_read_off_the_columns(tmp_path: Path, head: str) -> None:
    folder = write_run(tmp_path / "a", finished=False)
    write_history(folder, history_rows(2, (head, "other")))
    assert read_run(folder).heads == (head, "other")


@pytest.mark.parametrize(
    ("name", "content", "note"),
    [
        ("config.toml", b"name = ", "config.toml cannot be read: Invalid value"),
        ("config.toml", b"\xff\xfe", "config.toml cannot be read: 'utf-8' codec"),
        ("history.csv", b"epoch,val_score\n1,0.5\n2,0.", "history.csv is damaged"),
        ("history.csv", b"epoch,val_score\n1,0.5\n2\n3,0.7\n", "history.csv is damaged from line 3 on"),
        ("history.csv", b"epoch,val_score\n1,0.5\n2,much\n", "history.csv is damaged from line 3 on"),
        ("history.csv", b"epoch,val_score\n1,0.5\nx,0.6\n", "history.csv is damaged from line 3 on"),
        ("history.csv", b"epoch,val_score\n1,0.5\n2,0.6,9\n", "history.csv is damaged from line 3 on"),
        ("history.csv", b"epoch,val_score\n1,0.5\n\x80\xff,0.6\n", "history.csv cannot be read: 'utf-8'"),
        ("model.toml", b"name = 'x'\n", "model.toml: "),
        ("model.toml", b"", "model.toml: "),
    ],
)
def test_a_damaged_file_is_a_note(tmp_path: Path, name: str, content: bytes, note: str) -> None:
    folder = write_run(tmp_path / "a")
    (folder / name).write_bytes(content)
    run = read_run(folder)
    if content.endswith(b"2,0."):  # a number that was cut is still a number
        assert run.notes == ()
        return
    (found,) = run.notes
    assert note in found
    if name == "history.csv" and b"\xff" not in content:
        assert [row["epoch"] for row in run.history] == ["1"]


def test_a_nan_is_no_best_epoch(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a")
    rows = history_rows(3)
    rows[1]["val_score"] = "nan"
    write_history(folder, rows)
    run = read_run(folder)
    assert run.best_epoch == 1
    assert [epoch for epoch, _ in run.series("val_score")] == [1, 3]
    assert run.notes == ()


def test_folds_say_where_to_look(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", finished=False)
    (folder / "folds.json").write_text("{}")
    assert read_run(folder).notes == ("cross-validation: see folds.md",)


def test_what_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, message in (
        (tmp_path, "it has no config.toml"),
        (tmp_path / "file", "it is no folder"),
        (tmp_path / "none", "it does not exist"),
    ):
        with pytest.raises(ModelError, match=f"is no run folder: {message}"):
            read_run(path)


def test_metric_and_series(tmp_path: Path) -> None:
    runs = [
        read_run(write_run(tmp_path / "x" / "a")),
        read_run(write_run(tmp_path / "y" / "a")),
        read_run(write_run(tmp_path / "b", epochs=2, finished=False)),
    ]
    assert best_metric(runs, None) == "val_score"
    assert best_metric(runs, "val_loss") == "val_loss"
    series = chart_series(runs, "val_loss")
    assert list(series) == [str(tmp_path / "x" / "a"), str(tmp_path / "y" / "a"), "b"]
    assert series["b"] == [(1, 2.5), (2, 2.5)]
    with pytest.raises(InputError, match="no run has the metric 'x': the histories have seconds, rate, train_loss"):
        best_metric(runs, "x")


def test_reading_runs_needs_no_torch() -> None:
    code = "import sys, mien.evaluate.run_report; assert not {'torch', 'lightning', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_all_ways_to_name_a_model(planted_model: Path, tmp_path: Path) -> None:
    assert find_model("face-base").name == "face-base"
    for path in (planted_model, planted_model / "model.toml", planted_model / "model.onnx"):
        assert find_model(str(path)).name == "planted"
    shutil.copy(planted_model / "model.onnx", tmp_path / "model.onnx")
    shutil.copy(planted_model / "model.toml", tmp_path / "model.toml")
    assert find_model(str(tmp_path / "model.onnx")).path == tmp_path / "model.toml"


def test_what_is_no_model(planted_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no file .*none\.onnx"):
        find_model(str(tmp_path / "none.onnx"))
    (tmp_path / "a.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match=r"a\.onnx has no record beside it: expected a\.toml or model\.toml"):
        find_model(str(tmp_path / "a.onnx"))
    shutil.copy(planted_model / "model.toml", tmp_path / "a.toml")
    with pytest.raises(ModelError, match=r"a\.toml is the record of model\.onnx, not of a\.onnx"):
        find_model(str(tmp_path / "a.onnx"))
    half = write_run(tmp_path / "half", epochs=2, finished=False)
    with pytest.raises(ModelError, match=r"half has no model yet: unfinished: 2 of 5 epochs, no model\.toml yet"):
        find_model(str(half))
    with pytest.raises(ModelError, match="no model record at"):
        find_model(str(tmp_path))


def test_commas(tmp_path: Path) -> None:
    assert split_names("a,b") == ["a", "b"]
    assert split_names(",") == []
    (tmp_path / "a,b").mkdir()
    assert split_names(str(tmp_path / "a,b")) == [str(tmp_path / "a,b")]
