"""The command on audio files, with models whose predictions are planted: the pitch of a tone gives them."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mien.cli import main
from mien.errors import ModelError, UnknownModelError
from mien.labels import FER7, RAVDESS8
from mien.models.spec import ModelSpec
from mien.output import plots
from planted_clips import Planted, record, right_but_for_two, write_ravdess
from planted_speech import planted_speech, said
from speech_corpora import ravdess_names, tone, write_wav

RECORDS = {
    "planted": record(),
    "heard": record(name="heard", training={"dataset": "ravdess", "subjects": ["03"]}),
    "seven": record(FER7, name="seven"),
}


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put planted models in the place of records and their analyzer."""

    def find(name: str) -> ModelSpec:
        if name not in RECORDS:
            raise UnknownModelError(f"unknown model {name!r}")
        return RECORDS[name]

    def analyzer(spec: ModelSpec, **_options: Any) -> Planted:
        if spec.task != "speech-emotion":
            raise ModelError(f"needs one for speech-emotion, not {spec.task}")
        return Planted(spec)

    monkeypatch.setattr("mien.speech.analyzer.SpeechAnalyzer", analyzer)
    monkeypatch.setattr("mien.evaluate.runs.find_model", find)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ravdess(tmp_path_factory.mktemp("corpus"), right_but_for_two)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


def test_ravdess_as_json(corpus: Path) -> None:
    done = run("planted", "ravdess", "--data", corpus, "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["model"], found["dataset"], found["split"]) == ("planted-speech", "ravdess", "all")
    assert (found["n"], found["n_subjects"], found["output"]) == (240, 4, "ravdess8")
    assert found["accuracy"] == pytest.approx(152 / 240)
    assert found["groups"]["sex"]["female"]["accuracy"] == pytest.approx(92 / 120)
    assert (found["seen_in_training"], found["noise"]) == (None, [])


def test_text_for_people(corpus: Path) -> None:
    done = run("planted", "ravdess", "--data", corpus)
    assert done.exit_code == 0, done.output
    assert "planted-speech 1 on ravdess all, published labels, output ravdess8; it is not known which" in done.stdout
    assert "240 clips of 4 subjects. Measured" in done.stdout
    assert "accuracy  63.33 %" in done.stdout
    assert "ECE above floor" in done.stdout


def test_filters_and_any_speakers_present(corpus: Path) -> None:
    found = json.loads(run("planted", "ravdess", "--data", corpus, "--option", "intensity=strong", "--json").stdout)
    assert (found["n"], found["accuracy"]) == (112, pytest.approx(0.5))
    found = json.loads(run("planted", "ravdess", "--data", corpus / "Actor_03", "--json").stdout)
    assert (found["n"], found["n_subjects"], found["intervals_by"]) == (60, 1, "clip")


def test_a_speaker_heard_in_training_is_said_everywhere(corpus: Path, tmp_path: Path) -> None:
    done = run("heard", "ravdess", "--data", corpus, "--report", tmp_path / "r")
    assert done.exit_code == 0, done.output
    assert "mien: caution: heard was trained on 1 of the 4 subjects of these clips" in done.stderr
    assert "no measure of generalization" in done.stderr
    assert "CAUTION: heard was trained on 1 of the 4 subjects" in done.stdout
    assert "UAR, unseen subjects" in done.stdout
    text = (tmp_path / "r" / "report.md").read_text("utf-8")
    assert "**Caution**: heard was trained on 1 of the 4" in text
    assert "| 03 | 60 | 100.00 % | 100.00 % | yes |" in text
    found = json.loads((tmp_path / "r" / "report.json").read_text("utf-8"))
    assert (found["seen_in_training"], found["n_unseen"]) == (["03"], 180)
    assert found["accuracy_unseen"] == pytest.approx(92 / 180)


def test_noise_and_the_report_folder(corpus: Path, tmp_path: Path) -> None:
    fixed = ("planted", "ravdess", "--data", corpus, "--option", "repetition=1", "--option", "statement=1")
    done = run(*fixed, "--noise", "--report", tmp_path / "r" / "s", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [(entry["kind"], entry["ratio_db"]) for entry in found["noise"]] == [
        ("clean", None),
        *((kind, ratio) for kind in ("white", "babble") for ratio in (20, 10, 5, 0)),
        ("telephone", None),
        ("reverberation", None),
    ]
    assert found["noise"][0]["uar"] == pytest.approx(found["uar"])
    report = tmp_path / "r" / "s"
    assert sorted(path.name for path in report.iterdir()) == [
        "confusion.png",
        "noise.png",
        "predictions.csv",
        "reliability.png",
        "report.json",
        "report.md",
        "subjects.png",
        "worst.png",
    ]
    assert json.loads((report / "report.json").read_text()) == found
    matrices = plots.confusion_pair(found["confusion_matrix"], found["labels"], unit="clips")
    assert (report / "confusion.png").read_bytes() == matrices
    with (report / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == found["n"]
    assert (rows[0]["subject"], rows[0]["sex"], rows[0]["right"]) == ("01", "male", "0")
    text = (report / "report.md").read_text()
    ran = "mien evaluate planted-speech ravdess --data DATA --option repetition=1 --option statement=1 --noise"
    assert f"Measured by `{ran}`." in text
    assert "| Actor\\_01/03-01-01-01-01-01-01.wav | 01 | neutral | calm |" in text
    assert "| babble | 0 dB |" in text
    assert "![Noise](noise.png)" in text
    shown = run(*fixed, "--noise").stdout
    assert re.search("^noise +speech to noise", shown, re.MULTILINE)
    # A second report without noise leaves nothing of the first behind.
    assert run(*fixed, "--report", report).exit_code == 0
    assert not (report / "noise.png").exists()


def test_one_speaker_has_no_babble(corpus: Path) -> None:
    fixed = ("planted", "ravdess", "--data", corpus / "Actor_03", "--option", "repetition=1", "--option", "statement=1")
    done = run(*fixed, "--noise", "--json")
    assert done.exit_code == 0
    assert "no babble: all clips of ravdess are of one subject" in done.stderr
    kinds = {entry["kind"] for entry in json.loads(done.stdout)["noise"]}
    assert kinds == {"clean", "white", "telephone", "reverberation"}


def test_a_damaged_file_is_listed_and_the_exit_code_says_so(corpus: Path, tmp_path: Path) -> None:
    for name in ravdess_names([2]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((corpus / name).read_bytes() if "01-08-" not in name else b"")
    done = run("planted", "ravdess", "--data", tmp_path, "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["n"], found["n_unreadable"]) == (3, 52, 8)
    assert len(found["problems"]) == 8
    assert "mien: left out Actor_02/03-01-08-01-01-01-02.wav: " in done.stderr
    for name in ravdess_names([2]):
        (tmp_path / name).write_bytes(b"x")
    done = run("planted", "ravdess", "--data", tmp_path)
    assert (done.exit_code, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "no sample of ravdess could be read, the first: Actor_02/" in done.stderr


def test_models_are_compared(corpus: Path, tmp_path: Path) -> None:
    done = run("planted,seven", "ravdess", "--data", corpus, "--report", tmp_path / "r", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [entry["name"] for entry in found["results"]] == ["planted-speech", "seven"]
    assert [entry["n_no_common_label"] for entry in found["results"]] == [0, 32]
    (paired,) = found["comparisons"]
    assert (paired["first"], paired["second"], paired["n"], paired["intervals_by"]) == (
        "planted-speech",
        "seven",
        208,
        "subject",
    )
    assert (tmp_path / "r" / "seven-ravdess-all" / "confusion.png").is_file()
    assert "of 208 clips" in (tmp_path / "r" / "report.md").read_text()
    text = run("planted,planted", "ravdess", "--data", corpus).stdout
    assert "planted (1) against planted (2) on ravdess all: which is better stays open." in text


def test_several_corpora_and_one_that_is_not_there(corpus: Path, tmp_path: Path) -> None:
    write_wav(tmp_path / "test" / "anger" / "ü|* a.wav", tone(hz=300 + 150 * 4, seconds=0.3))
    write_wav(tmp_path / "train" / "anger" / "b.wav", tone(hz=300, seconds=0.3))
    fixed = ("--on", f"ravdess={corpus}", "--on", f"speech_folder:test={tmp_path}", "--on", f"tess={tmp_path}")
    done = run("planted", *fixed, "--report", tmp_path / "r", "--json")
    assert done.exit_code == 3
    found = json.loads(done.stdout)["results"]
    assert [(r["dataset"], r["split"], r["n"]) for r in found] == [
        ("ravdess", "all", 240),
        ("speech_folder", "test", 1),
    ]
    assert "mien: planted-speech on tess: " in done.stderr
    assert (tmp_path / "r" / "planted-speech-speech_folder-test" / "report.md").is_file()


def test_a_folder_is_recordings_where_the_model_hears(tmp_path: Path) -> None:
    write_wav(tmp_path / "anger" / "a.wav", tone(hz=300 + 150 * 4, seconds=0.3))
    write_wav(tmp_path / "sadness" / "b.wav", tone(hz=300 + 150 * 4, seconds=0.3))
    found = json.loads(run("planted", tmp_path, "--json").stdout)
    assert (found["dataset"], found["n"], found["accuracy"]) == ("speech_folder", 2, 0.5)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nobody", "ravdess", "--data", "{}"), 1, "unknown model 'nobody'"),
        (("planted", "ravdess", "--data", "{}/none"), 1, "there is no such folder"),
        (("planted", "ravdess", "--data", "{}", "--split", "test"), 1, "has no split 'test': it has none"),
        (("planted", "ravdess", "--data", "{}", "--labels-as", "x"), 1, "has no output 'x': it has ravdess8"),
        (("planted", "ravdess", "--data", "{}", "--option", "x=1"), 1, "has no option 'x'"),
        (("planted", "ravdess"), 2, "--data must say where ravdess lies"),
        (("planted", "ravdess", "--data", "{}", "--flip", "--batch", "3"), 2, "--flip and --batch: not for speech"),
        (("planted", "ravdess", "--data", "{}", "--labels", "x"), 2, "--labels: not for speech"),
        (("planted", "fer2013", "--data", "{}", "--noise"), 2, "--noise: not for faces"),
        (("planted", "ravdess", "--data", "{}", "--on", "fer2013=x"), 2, "unknown dataset 'fer2013'"),
        (("planted", "--on", "ravdess"), 2, "--on must be NAME[:SPLIT]=PATH, but is 'ravdess'"),
        ((",", "ravdess", "--data", "{}"), 2, "MODEL must name at least one model"),
        (("planted", "ravdess", "--data", "{}", "--option", "x"), 2, "--option must be key=value, but got 'x'"),
    ],
)
def test_what_cannot_be_done(corpus: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = run(*(argument.format(corpus) for argument in arguments))
    assert (done.exit_code, done.stdout) == (code, "")
    assert message in done.stderr


def test_a_report_needs_matplotlib_before_any_work(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = run("planted", "ravdess", "--data", corpus, "--report", tmp_path / "r")
    assert done.exit_code == 1
    assert done.stderr == 'mien: --report needs matplotlib: pip install "mien[plot]"\n'


def test_a_report_without_mistakes(tmp_path: Path) -> None:
    write_ravdess(tmp_path / "c", lambda _actor, truth, _intensity: truth, actors=(5, 6))
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "worst.png").write_bytes(b"old")
    done = run("planted", "ravdess", "--data", tmp_path / "c", "--report", tmp_path / "r")
    assert done.exit_code == 0, done.output
    assert not (tmp_path / "r" / "worst.png").exists()
    assert "There is no mistake." in (tmp_path / "r" / "report.md").read_text()


def test_a_run_folder_on_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # of the planted models
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
    assert (found["n"], found["seen_in_training"], found["n_unseen"]) == (30, ["01"], 15)
    assert found["groups"]["subject"]["01"]["accuracy"] == 1
    assert found["uar_unseen"] == pytest.approx(0.5)
    assert found["accuracy"] == pytest.approx((15 + 7) / 30)
    assert found["noise"][0]["accuracy"] == pytest.approx(found["accuracy"])
    assert "mien: caution: planted-speech was trained on 1 of the 2 subjects" in done.stderr
