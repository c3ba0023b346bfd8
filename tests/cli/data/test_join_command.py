from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from face_tables import make_rows, pixels_of, table_text, write_table
from mien.cli import main
from mien.data import load_images


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["data", "join", *map(str, arguments)])


@pytest.fixture
def sources(tmp_path: Path) -> tuple[str, str]:
    """FER2013 of 14 rows, and a folder of photographs of which one is row 0 of it and one shows contempt."""
    rows = make_rows(["Training"] * 12 + ["PublicTest"] * 2)
    write_table(tmp_path / "fer2013.csv", table_text(rows))
    copy = pixels_of(rows)[0]
    for number, name in enumerate(("test/angry/copy.png", "test/joy/new.png", "test/contempt/c.png")):
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True)
        cv2.imwrite(str(file), copy if number == 0 else np.full((64, 64), 50 * number, np.uint8))
    return f"fer2013={tmp_path / 'fer2013.csv'}", f"folder={tmp_path / 'photos'}"


@pytest.mark.parametrize("form", ["all.csv", "all.parquet", "all"])
def test_two_sets_become_one(form: str, sources: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "new" / form
    done = run(out, *sources)
    assert (done.exit_code, done.stderr.splitlines()[2:]) == (
        0,
        [
            "mien: folder: 1 images of contempt are left out",
            "mien: 1 images of folder are also in fer2013",
            "mien: 1 images stand in more than one split",
            "mien: --drop-duplicates leaves copies out",
            f"mien: wrote 16 images to {out}",
        ],
    )
    head, *lines = [line.split() for line in done.stdout.splitlines()]
    assert head == ["split", "anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    assert lines == [
        ["Training", "2", "2", "2", "2", "2", "1", "1"],
        ["PublicTest", "0", "0", "0", "0", "0", "1", "1"],
        ["test", "1", "0", "0", "1", "0", "0", "0"],
    ]
    data = load_images("folder" if out.is_dir() else "table", out)
    assert len(data) == 16
    assert data.split_names() == ["Training", "PublicTest", "test"]


def test_a_copy_that_is_held_out_is_the_one_that_stays(sources: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "all.csv"
    done = run(out, *sources, "--drop-duplicates", "--labels-as", "ferplus8")
    assert done.exit_code == 0
    assert "mien: 1 copies are left out\n" in done.stderr
    assert "mien: 1 images stood in more than one split\n" in done.stderr
    data = load_images("table", out)
    assert len(data) == 16
    assert data.label_set.name == "ferplus8"
    assert int((data.splits == "test").sum()) == 3
    assert int((data.splits == "Training").sum()) == 11
    lines = out.read_text("utf-8").splitlines()
    assert lines[1].split(",")[5] == "fer2013:row 1"
    assert [line.split(",")[5] for line in lines[-3:]] == [
        "folder:test/angry/copy.png",
        "folder:test/contempt/c.png",
        "folder:test/joy/new.png",
    ]


@pytest.mark.filterwarnings("always::mien.errors.MienWarning")
def test_options_go_to_their_source(sources: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "photos" / "test" / "joy" / "bad.png").write_bytes(b"junk")
    done = run(tmp_path / "a.csv", *sources)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "bad.png" in done.stderr
    assert not (tmp_path / "a.csv").exists()
    done = run(tmp_path / "a.csv", *sources, "--option", "folder.problems=skip", "--size", 24)
    assert done.exit_code == 0
    assert "mien: warning: left out " in done.stderr
    assert load_images("table", tmp_path / "a.csv").images.shape == (16, 24, 24)
    done = run(tmp_path / "b.csv", *sources, "--option", "folder.color=yes")
    assert (done.exit_code, "dataset 'folder' has no option 'color'" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'NAME=PATH...'"),
        (("fer2013.csv",), "expected NAME=PATH, such as fer2013=fer2013.csv, but got 'fer2013.csv'"),
        (("fer=x",), "unknown dataset 'fer'"),
        (("fer2013=",), "expected NAME=PATH"),
        (("fer2013=x", "--labels-as", "baum8"), "'baum8' is not one of 'fer7', 'ferplus8'"),
        (("fer2013=x", "--size", "4"), "4 is not in the range"),
        (("fer2013=x", "--option", "size=4"), "--option must be NAME.KEY=VALUE of fer2013, but got 'size=4'"),
        (("fer2013=x", "--option", "fer2013.size"), "--option must be key=value"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = run(tmp_path / "a.csv", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in " ".join(done.stderr.split())


def test_what_cannot_be_written_is_refused_before_anything_is_read(sources: tuple[str, str], tmp_path: Path) -> None:
    done = run(tmp_path / "fer2013.csv", *sources)
    assert done.exit_code == 1
    assert done.stderr.startswith("mien: will not write over ")
    done = run(tmp_path / "all.json", *sources)
    assert done.exit_code == 1
    assert done.stderr.startswith("mien: a dataset is written as .csv, .parquet or a folder without suffix")
    done = run(tmp_path / "all.csv", "fer2013=gone.csv")
    assert (done.exit_code, "no file gone.csv" in done.stderr) == (1, True)
