"""The command on a tiny model whose answers are planted: the first pixels of an image say what it answers."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from face_tables import Row, table_samples, table_text, votes_text, write_table
from mien.cli import main
from mien.data import Samples
from mien.data.registry import DATASETS, Dataset
from mien.labels import FER7, FERPLUS8, LabelSet
from run_folders import write_run


@pytest.fixture(scope="module")
def model(planted_model: Path) -> Path:
    return planted_model


def image(answer7: int, answer8: int, number: int) -> str:
    pixels = np.zeros((48, 48), dtype=int)
    pixels[0, answer7] = pixels[0, 8 + answer8] = 60
    pixels[1, :2] = number // 256, number % 256  # every image is another one
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
    rows = [Row(str(i % 7), image(i % 7, TO_8[i % 7], i), "Training") for i in range(28)]
    rows += [Row(row.emotion, row.pixels, "PublicTest") for row in rows[:7]]
    for i in range(7, 70):
        answer = (i + 1) % 7 if i >= 60 else i % 7
        rows.append(Row(str(i % 7), image(answer, TO_8[i % 7], 100 + i), "PublicTest"))
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
    assert "without 7 images that are also in Training" in done.stdout


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
    assert (found["protocol"], found["output"], found["n"], found["n_unlabeled"]) == (protocol, "ferplus8", 69, 1)
    assert found["accuracy"] == 1
    assert found["n_overlap"] == (7 if votes is None else None)


def test_labels_as_chooses_the_other_output(model: Path, folder: Path) -> None:
    fixed = ("--data", folder, "--split", "PublicTest", "--json")
    found = json.loads(run(model, "fer2013", *fixed, "--labels-as", "ferplus8").stdout)
    assert (found["output"], found["accuracy"]) == ("ferplus8", 1)
    assert found["labels_mapping"] == "contempt is dropped and the rest renormalized"
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
        (
            ("{model}", "fer2013", "--data", "{folder}", "--split", "PublicTest", "--protocol", "majority"),
            "dataset 'fer2013' has no option 'protocol'",
        ),
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
        (("m",), "name a dataset, or give --on NAME[:SPLIT]=PATH"),
        (("m", "fer2013", "--split", "Training"), "--data must say where fer2013 lies"),
        (("m", "nodata", "--data", "x", "--split", "Training"), "unknown dataset 'nodata': expected fer2013, ferplus"),
        (("m", "fer2013", "--data", "x", "--split", "Training", "--batch", "0"), "0 is not in the range"),
        (("m", "--data", "x", "--on", "fer2013=x"), "--data, --split, --labels, --protocol and --option are for"),
        (("m", "--on", "fer2013"), "--on must be NAME[:SPLIT]=PATH, but is 'fer2013'"),
        (("m", "--on", "=x"), "--on must be NAME[:SPLIT]=PATH, but is '=x'"),
        (("m", "--on", "nodata=x"), "unknown dataset 'nodata'"),
        ((",", "--on", "fer2013=x"), "MODEL must name at least one model, but is ','"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr


def other_model(root: Path, source: Path) -> Path:
    """The planted model under another name: it answers the same with less confidence."""
    folder = root / "other"
    shutil.copytree(source, folder)
    record = (folder / "model.toml").read_text().replace('name = "planted"', 'name = "other"')
    (folder / "model.toml").write_text(record.replace("temperature = 10.0", "temperature = 20.0"))
    return folder


def test_report_folder(model: Path, folder: Path, tmp_path: Path) -> None:
    done = run(model, "fer2013", "--data", folder, "--split", "PublicTest", "--report", tmp_path / "r" / "s", "--json")
    assert done.exit_code == 0, done.output
    report = tmp_path / "r" / "s"
    assert sorted(p.name for p in report.iterdir()) == [
        "confusion.png",
        "predictions.csv",
        "reliability.png",
        "report.json",
        "report.md",
        "worst.png",
    ]
    assert json.loads((report / "report.json").read_text()) == json.loads(done.stdout)
    with (report / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["row"] for row in rows] == [str(i) for i in range(28, 98)]
    assert sum(int(row["right"]) for row in rows) == 60
    assert rows[0]["true"] == rows[0]["predicted"] == "anger"
    assert float(rows[0]["confidence"]) == float(rows[0]["p_anger"]) > 0.9
    text = (report / "report.md").read_text()
    assert "Measured by `mien evaluate planted fer2013 --data DATA --split PublicTest`." in text
    assert "| anger |" in text
    assert "Subjects" not in text


def test_two_models_are_compared(model: Path, folder: Path, tmp_path: Path) -> None:
    other = other_model(tmp_path, model)
    fixed = ("--data", folder, "--split", "PublicTest")
    done = run(f"{model},{other}", "fer2013", *fixed, "--report", tmp_path / "r", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [entry["name"] for entry in found["results"]] == ["planted", "other"]
    (paired,) = found["comparisons"]
    assert (paired["first"], paired["second"], paired["accuracy_difference"]) == ("planted", "other", 0)
    assert (paired["p_mcnemar"], paired["accuracy_interval"]) == (1, [0, 0])
    assert json.loads((tmp_path / "r" / "report.json").read_text())["comparisons"] == found["comparisons"]
    assert (tmp_path / "r" / "other-fer2013-PublicTest" / "worst.png").is_file()
    assert "other-fer2013-PublicTest" in (tmp_path / "r" / "report.md").read_text()
    text = run(f"{model},{other}", "fer2013", *fixed).stdout
    assert "planted against other on fer2013 PublicTest: which is better stays open." in text


def test_several_datasets(model: Path, folder: Path) -> None:
    done = run(model, "--on", f"fer2013:PublicTest={folder}", "--on", f"ferplus:PublicTest={folder}", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [(r["dataset"], r["output"]) for r in found["results"]] == [("fer2013", "fer7"), ("ferplus", "ferplus8")]
    assert found["comparisons"] == []
    text = run(model, "fer2013", "--data", folder, "--split", "PublicTest", "--on", f"fer2013:all={folder}").stdout
    assert "planted 1 on fer2013 all, published labels, output fer7" in text
    assert text.splitlines()[-1].startswith("planted  fer2013 all")


def test_what_fails_among_several_is_noted_and_passed_over(model: Path, folder: Path, tmp_path: Path) -> None:
    done = run(model, "--on", f"fer2013:PublicTest={folder}", "--on", f"fer2013:PublicTest={tmp_path}", "--json")
    assert done.exit_code == 3
    assert len(json.loads(done.stdout)["results"]) == 1
    assert "mien: planted on fer2013: " in done.stderr
    done = run(model, "--on", f"fer2013:x={folder}", "--on", f"fer2013:y={folder}")
    assert (done.exit_code, done.stdout) == (1, "")


def test_a_split_must_be_chosen_where_there_are_several(model: Path, folder: Path) -> None:
    done = run(model, "fer2013", "--data", folder)
    assert done.exit_code == 1
    assert "has the splits Training, PublicTest: choose one of them, or all" in done.stderr
    found = json.loads(run(model, "fer2013", "--data", folder / "public.csv.xz", "--json").stdout)
    assert (found["split"], found["n"]) == ("PublicTest", 70)
    found = json.loads(run(model, "fer2013", "--data", folder, "--split", "all", "--json").stdout)
    assert (found["split"], found["n"], found["n_overlap"]) == ("all", 98, None)


@pytest.fixture
def people() -> Iterator[None]:
    """A dataset of six people without splits: the first two are always misread; some images have no label."""

    def load(path: Path) -> Samples:
        n, labels = 60, LabelSet("own", ("sadness", "anger", "surprise"))
        truth, subject = np.arange(n) % 3, np.arange(n) // 10
        images = np.zeros((n, 48, 48), dtype=np.uint8)
        said = np.where(subject < 2, (truth + 1) % 3, truth)
        images[np.arange(n), 0, np.array([FER7.index(e) for e in labels.emotions])[said]] = 60
        images[:, 1, 0] = np.arange(n)
        truth[-3:] = -1
        names = np.array([f"S{number:03d}" for number in subject])
        files = tuple(f"{i:02d}, ü|*.png" for i in range(n))
        return table_samples(images, truth, labels, name="people", source=str(path), subject=names, files=files)

    DATASETS.register("people", Dataset("image", "made by the test", load, in_memory=True))
    yield
    DATASETS.unregister("people")


def test_results_by_subject(model: Path, people: None, tmp_path: Path) -> None:
    done = run(model, "people", "--data", tmp_path, "--report", tmp_path / "r", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["split"], found["n"], found["n_unlabeled"], found["output"]) == ("all", 57, 3, "fer7")
    assert found["labels_mapping"] == "disgust and fear and happiness and neutral are dropped and the rest renormalized"
    assert (found["intervals_by"], found["n_groups"]) == ("subject", 6)
    subjects = [(name, figures["n"], figures["accuracy"]) for name, figures in found["groups"]["subject"].items()]
    assert subjects[:3] == [("S000", 10, 0), ("S001", 10, 0), ("S002", 10, 1)]
    low, high = found["intervals"]["accuracy"]
    assert high - low > 0.5  # six people, not 57 images
    assert (tmp_path / "r" / "subjects.png").is_file()
    text = (tmp_path / "r" / "report.md").read_text("utf-8")
    assert "6 subjects: UAR of the lowest 0.00 %, the median 100.00 %, the highest 100.00 %." in text
    assert "Intervals: bootstrap over 6 subjects." in text
    assert '"00, ü|*.png",S000,sadness,anger,0' in (tmp_path / "r" / "predictions.csv").read_text("utf-8")
    shown = run(model, "people", "--data", tmp_path).stdout
    assert "intervals by subject, of which there are 6" in shown
    assert "S000         10    0.00 %" in shown


def test_an_older_report_leaves_nothing_behind(model: Path, people: None, folder: Path, tmp_path: Path) -> None:
    assert run(model, "people", "--data", tmp_path, "--report", tmp_path / "r").exit_code == 0
    fixed = ("--data", folder, "--split", "PublicTest", "--labels-as", "ferplus8", "--report", tmp_path / "r")
    assert run(model, "fer2013", *fixed).exit_code == 0
    assert not (tmp_path / "r" / "subjects.png").exists()
    assert not (tmp_path / "r" / "worst.png").exists()  # it is always right
    assert "There is no mistake." in (tmp_path / "r" / "report.md").read_text()


def test_a_report_needs_matplotlib_before_any_work(
    model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = run(model, "fer2013", "--data", folder, "--split", "PublicTest", "--report", tmp_path / "r")
    assert done.exit_code == 1
    assert done.stderr == 'mien: --report needs matplotlib: pip install "mien[plot]"\n'


def test_models_that_cannot_be_used(model: Path, folder: Path, tmp_path: Path) -> None:
    fixed = ("fer2013", "--data", folder, "--split", "PublicTest")
    half = write_run(tmp_path / "half", epochs=2, finished=False)
    assert "half has no model yet: unfinished: 2 of 5 epochs, no model.toml yet" in run(half, *fixed).stderr
    damaged = tmp_path / "damaged"
    shutil.copytree(model, damaged)
    content = (damaged / "model.onnx").read_bytes()
    (damaged / "model.onnx").write_bytes(content[:-9] + b"123456789")
    assert "are not those of its record" in run(damaged, *fixed).stderr
    record = (model / "model.toml").read_text()
    (damaged / "model.toml").write_text(record.split("[[outputs]]")[0])
    done = run(damaged, *fixed)
    assert done.exit_code == 1
    assert "outputs" in done.stderr
    assert run(model / "model.onnx", *fixed).exit_code == 0


def test_a_graph_that_is_the_record_s_but_no_onnx(model: Path, folder: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(model, damaged)
    for content in (b"", b"no graph" * 9, (model / "model.onnx").read_bytes()[:300]):
        (damaged / "model.onnx").write_bytes(content)
        record = (model / "model.toml").read_text()
        own = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for key, value in own.items():
            shown = f'"{value}"' if key == "sha256" else value
            record = re.sub(rf"^{key} = .*$", f"{key} = {shown}", record, flags=re.MULTILINE)
        (damaged / "model.toml").write_text(record)
        done = run(damaged, "fer2013", "--data", folder, "--split", "PublicTest")
        assert (done.exit_code, done.stdout) == (1, "")
        assert len(done.stderr.splitlines()) == 1


def test_data_without_labels(model: Path, tmp_path: Path) -> None:
    pixels = [image(0, 0, i) for i in range(3)]
    write_table(tmp_path / "fer2013.csv", table_text([Row("0", p, "PublicTest") for p in pixels]))
    write_table(tmp_path / "fer2013new.csv", votes_text([("PublicTest", vote(9))] * 3))
    done = run(model, "ferplus", "--data", tmp_path, "--split", "PublicTest")
    assert done.exit_code == 1
    assert "fer2013.csv: no sample of ferplus PublicTest has a label" in done.stderr


def test_a_report_that_cannot_be_written(model: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    fixed = ("fer2013", "--data", folder, "--split", "PublicTest", "--report")
    done = run(model, *fixed, tmp_path / "file" / "r")
    assert done.exit_code == 1
    assert "cannot make the folder" in done.stderr.splitlines()[-1]
    assert run(model, *fixed, tmp_path / "file").exit_code == 2


def test_one_model_twice_is_told_apart(model: Path, folder: Path) -> None:
    found = json.loads(run(f"{model},{model}", "fer2013", "--data", folder, "--split", "PublicTest", "--json").stdout)
    assert [entry["name"] for entry in found["results"]] == [f"{model} (1)", f"{model} (2)"]
