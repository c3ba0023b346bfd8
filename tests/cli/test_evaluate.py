"""The command on a tiny model whose answers are planted: the first pixels of a picture say what it answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from face_tables import Row, table_text, votes_text, write_table
from mien.cli import main
from mien.labels import FER7, FERPLUS8


@pytest.fixture(scope="module")
def model(planted_model: Path) -> Path:
    return planted_model


def picture(answer7: int, answer8: int, number: int) -> str:
    pixels = np.zeros((48, 48), dtype=int)
    pixels[0, answer7] = pixels[0, 8 + answer8] = 60
    pixels[1, :2] = number // 256, number % 256  # every picture is another one
    return " ".join(map(str, pixels.ravel()))


def vote(emotion: int) -> list[int]:
    return [10 * (i == emotion) for i in range(10)]


TO_8 = [FERPLUS8.index(emotion) for emotion in FER7.emotions]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """28 rows of Training and 70 of PublicTest, of which 7 are copies of Training.

    The fer7 output is right on 60 rows of PublicTest (the copies among them), the ferplus8 output on all.
    """
    root = tmp_path_factory.mktemp("data")
    rows = [Row(str(i % 7), picture(i % 7, TO_8[i % 7], i), "Training") for i in range(28)]
    rows += [Row(row.emotion, row.pixels, "PublicTest") for row in rows[:7]]
    for i in range(7, 70):
        answer = (i + 1) % 7 if i >= 60 else i % 7
        rows.append(Row(str(i % 7), picture(answer, TO_8[i % 7], 100 + i), "PublicTest"))
    votes = [(row.usage, vote(TO_8[int(row.emotion)])) for row in rows]
    votes[-1] = ("PublicTest", vote(9))  # no face
    write_table(root / "fer2013.csv", table_text(rows))
    write_table(root / "fer2013new.csv", votes_text(votes))
    public = [row for row in rows if row.usage == "PublicTest"]
    write_table(root / "public.csv.xz", table_text(public))
    write_table(root / "public_votes.csv", votes_text([v for v in votes if v[0] == "PublicTest"]))
    return root


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments), "--threads", "1"])


def test_fer2013_as_json(model: Path, folder: Path) -> None:
    done = run(model, "fer2013", "--data", folder / "fer2013.csv", "--split", "PublicTest", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["model"] == "planted"
    assert (found["dataset"], found["split"], found["output"], found["n"]) == ("fer2013", "PublicTest", "fer7", 70)
    assert found["accuracy"] == pytest.approx(60 / 70)
    assert found["n_overlap"] == 7
    assert found["accuracy_overlap_free"] == pytest.approx(53 / 63)
    assert found["uar"] == pytest.approx(np.mean([entry["recall"] for entry in found["per_class"]]))
    assert found["labels"] == list(FER7.emotions)
    assert np.sum(found["confusion_matrix"]) == 70
    assert "reading" in done.stderr


def test_text_for_people(model: Path, folder: Path) -> None:
    done = run(model / "model.toml", "fer2013", "--data", folder, "--split", "PublicTest")
    assert done.exit_code == 0, done.output
    assert "planted 1 on fer2013 PublicTest, published labels, output fer7" in done.stdout
    assert "accuracy                85.71 %" in done.stdout
    assert "without 7 pictures that are also in Training" in done.stdout


def test_a_file_with_one_split_leaves_the_overlap_unknown(model: Path, folder: Path) -> None:
    done = run(model, "fer2013", "--data", folder / "public.csv.xz", "--split", "PublicTest", "--json")
    found = json.loads(done.stdout)
    assert found["accuracy"] == pytest.approx(60 / 70)
    assert found["n_overlap"] is None
    assert found["accuracy_overlap_free"] is None


@pytest.mark.parametrize("protocol", ["majority", "plurality"])
@pytest.mark.parametrize(("table", "votes"), [("fer2013.csv", None), ("public.csv.xz", "public_votes.csv")])
def test_ferplus(model: Path, folder: Path, protocol: str, table: str, votes: str | None) -> None:
    labels = [] if votes is None else ["--labels", folder / votes]
    done = run(
        model, "ferplus", "--data", folder / table, *labels, "--split", "PublicTest", "--protocol", protocol, "--json"
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["protocol"], found["output"], found["n"], found["n_unlabelled"]) == (protocol, "ferplus8", 69, 1)
    assert found["accuracy"] == 1
    assert found["n_overlap"] == (7 if votes is None else None)


def test_labels_as_chooses_the_other_output(model: Path, folder: Path) -> None:
    fixed = ("--data", folder, "--split", "PublicTest", "--json")
    found = json.loads(run(model, "fer2013", *fixed, "--labels-as", "ferplus8").stdout)
    assert (found["output"], found["accuracy"]) == ("ferplus8", 1)
    assert found["labels_mapping"] == "contempt is dropped and the rest renormalised"
    found = json.loads(run(model, "ferplus", *fixed, "--labels-as", "fer7", "--batch", "7").stdout)
    assert (found["output"], found["n"]) == ("fer7", 69)
    assert found["accuracy"] == pytest.approx(60 / 69)


def test_training_itself_has_no_overlap_to_speak_of(model: Path, folder: Path) -> None:
    found = json.loads(run(model, "fer2013", "--data", folder, "--split", "Training", "--flip", "--json").stdout)
    assert (found["n"], found["views"], found["n_overlap"]) == (28, 2, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{model}", "fer2013", "--data", "{folder}", "--split", "PrivateTest"), "has no split 'PrivateTest': it has"),
        (("{model}", "fer2013", "--data", "{folder}/no.csv", "--split", "Training"), "no file "),
        (
            ("{model}", "ferplus", "--data", "{folder}/public.csv.xz", "--labels", "no.csv", "--split", "PublicTest"),
            "no ",
        ),
        (("no-model", "fer2013", "--data", "{folder}", "--split", "PublicTest"), "unknown model 'no-model'"),
        (("mtcnn", "fer2013", "--data", "{folder}", "--split", "PublicTest"), "needs one for face-emotion"),
        (
            ("{model}", "fer2013", "--data", "{folder}", "--split", "PublicTest", "--labels-as", "x"),
            "model 'planted' has no output 'x': it has ferplus8, fer7",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_1(
    model: Path, folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = run(*(a.format(model=model, folder=folder) for a in arguments))
    assert done.exit_code == 1
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("mien: reading ")]
    assert len(lines) == 1
    assert message in lines[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("m", "fer2013", "--split", "Training"), "Missing option '--data'"),
        (("m", "fer2013", "--data", "x"), "Missing option '--split'"),
        (("m", "jaffe", "--data", "x", "--split", "Training"), "'jaffe' is not one of 'fer2013', 'ferplus'"),
        (("m", "fer2013", "--data", "x", "--split", "test"), "'test' is not one of"),
        (("m", "fer2013", "--data", "x", "--split", "Training", "--batch", "0"), "0 is not in the range"),
        (
            ("m", "fer2013", "--data", "x", "--split", "Training", "--protocol", "majority"),
            "--labels and --protocol are for ferplus",
        ),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
