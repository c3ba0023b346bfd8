from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mien.cli import main
from run_folders import image_size, write_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    write_run(root / "done")
    write_run(root / "half", epochs=3, planned=9, finished=False)
    (root / "done.log").write_text("epoch 1")
    return root


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


def test_a_table_of_runs(runs: Path) -> None:
    found = run(*sorted(runs.iterdir()))
    assert found.exit_code == 0, found.output
    head, done, half = found.stdout.splitlines()
    assert head.split()[:7] == ["run", "net", "parameters", "MB", "epochs", "best", "minutes"]
    assert done.split()[:7] == ["done", "cnn", "1,234,567", "0.0", "5/5", "4", "5.0"]
    assert "70.00 (68.00-72.00)" in done
    assert half.split()[:7] == ["half", "cnn", "-", "-", "3/9", "2", "3.0"]
    assert half.endswith("unfinished: 3 of 9 epochs, no model.toml yet")
    assert "42.00" in half
    assert found.stderr == f"mien: passed over: {runs / 'done.log'} is no folder\n"


def test_a_run_with_inner_folds_is_finished_when_it_has_its_record(tmp_path: Path) -> None:
    whole = write_run(tmp_path / "hybrid")
    (whole / "config.toml").write_text((whole / "config.toml").read_text().replace("epochs = 5", "inner_folds = 3"))
    (whole / "history.csv").unlink()
    for name, epochs in (("cnn-lstm", 3), ("c3d", 4)):
        write_run(whole / name / "net", epochs=epochs, planned=20, finished=False)
    line = run(whole).stdout.splitlines()[1]
    assert "4 + 3" in line
    assert "unfinished" not in line
    assert " 7.0 " in line  # minutes
    (whole / "model.toml").unlink()
    assert "unfinished: settings are chosen on inner folds" in run(whole).stdout


def test_json_and_chart(runs: Path, tmp_path: Path) -> None:
    found = run(runs / "done", runs / "half", "--json", "--chart", tmp_path / "c.png", "--metric", "val_loss")
    assert found.exit_code == 0, found.output
    assert [entry["best_epoch"] for entry in json.loads(found.stdout)] == [4, 2]
    assert min(image_size(tmp_path / "c.png")) > 300
    assert f"drew {tmp_path / 'c.png'}" in found.stderr


def test_a_metric_becomes_a_column(runs: Path) -> None:
    head, done, _ = run(runs / "done", runs / "half", "--metric", "val_fer7_auc").stdout.splitlines()
    assert "val_fer7_auc at best  note" in head
    assert done.rstrip().endswith("0.4400")


def test_some_failed(runs: Path, tmp_path: Path) -> None:
    found = run(runs / "done", tmp_path)
    assert found.exit_code == 3
    assert f"{tmp_path} is no run folder: it has no config.toml" in found.stderr
    assert found.stdout.splitlines()[1].startswith("done")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("{tmp}",), 1, "none of the 1 paths is a run folder"),
        (("{runs}/done", "--metric", "x"), 1, "no run has the metric 'x'"),
        (("{runs}/done", "--chart", "{tmp}/no/c.png"), 1, "cannot write"),
        (("{runs}/done", "--chart", "c.jpg"), 2, "--chart must end in .png, but is 'c.jpg'"),
        ((), 2, "Missing argument 'RUN...'"),
    ],
)
def test_what_cannot_be_done(runs: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    found = run(*(a.format(runs=runs, tmp=tmp_path) for a in arguments))
    assert found.exit_code == code
    assert message in found.stderr
