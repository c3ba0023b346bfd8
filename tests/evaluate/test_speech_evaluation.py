from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, recall_score

from mien.data import Samples, load_dataset
from mien.errors import DatasetError, InputError, ModelError
from mien.evaluate import (
    Evaluation,
    Predictions,
    compare,
    cross_fitted,
    evaluate,
    fit_temperature,
    measure,
    predict,
    softmax,
)
from mien.evaluate.predictions import resampling_groups, training_subjects
from mien.evaluate.report import to_text
from mien.labels import FER7, RAVDESS8
from mien.metrics import ece, ece_floor
from planted_clips import Planted, record, right_but_for_two, write_ravdess
from speech_corpora import ravdess_names, tone, touch, write_wav


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ravdess(tmp_path_factory.mktemp("corpus"), right_but_for_two)


@pytest.fixture(scope="module")
def clips(corpus: Path) -> Samples:
    return load_dataset("ravdess", corpus)


@pytest.fixture(scope="module")
def answers(clips: Samples) -> Predictions:
    return predict(Planted(), clips)


@pytest.fixture(scope="module")
def twenty(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return load_dataset("ravdess", touch(tmp_path_factory.mktemp("twenty"), ravdess_names(range(1, 21))))


def from_probabilities(samples: Samples, probabilities: Any, **options: Any) -> Predictions:
    known = {"model": "out of fold", "training_subjects": (), "training_note": "out of fold"}
    return Predictions.from_probabilities(samples, probabilities, **known | options)


def measure_probabilities(samples: Samples, probabilities: Any, **options: Any) -> Evaluation:
    return measure(from_probabilities(samples, probabilities, **options))


def random_logits(clips: Samples, seed: int = 0) -> NDArray[np.float64]:
    z = np.random.default_rng(seed).normal(size=(len(clips), 8))
    z[np.arange(len(clips)), clips.labels] += 1.5
    return z


def test_figures_are_those_of_scikit_learn(answers: Predictions) -> None:
    result = measure(answers)
    truth, said, clips = answers.truth, answers.classes, answers.samples
    assert (result.n, result.n_subjects, result.output, result.labels_mapping) == (240, 4, "ravdess8", "one to one")
    assert result.accuracy == pytest.approx(accuracy_score(truth, said))
    assert result.uar == pytest.approx(balanced_accuracy_score(truth, said))
    assert np.array_equal(result.confusion_matrix, confusion_matrix(truth, said, labels=range(8)))
    assert list(result.groups) == ["sex", "intensity", "subject"]
    for column, parts in result.groups.items():
        assert sum(part.n for part in parts.values()) == 240
        for value, part in parts.items():
            rows = clips.column(column) == value
            assert part.accuracy == pytest.approx(accuracy_score(truth[rows], said[rows]))
            present = np.unique(truth[rows])
            uar = recall_score(truth[rows], said[rows], labels=present, average="macro")
            assert part.uar == pytest.approx(uar)
    assert list(result.groups["sex"]) == ["female", "male"]
    assert list(result.groups["intensity"]) == ["normal", "strong"]
    worst = next(iter(result.groups["subject"].items()))
    assert (worst[0], worst[1].uar, worst[1].intervals) == ("01", 0.0, {})


def test_what_was_planted_comes_out(answers: Predictions) -> None:
    result = measure(answers)
    wrong = 60 + 28  # all of one actor, the strong clips of another
    assert result.accuracy == pytest.approx(1 - wrong / 240)
    by_intensity = {value: part.accuracy for value, part in result.groups["intensity"].items()}
    assert by_intensity == {"normal": pytest.approx(0.75), "strong": pytest.approx(0.5)}
    assert result.labels == RAVDESS8.emotions


def test_intervals_are_drawn_over_speakers(answers: Predictions) -> None:
    result = measure(answers)
    assert (result.intervals_by, result.n_groups) == ("subject", 4)
    low, high = result.intervals["accuracy"]
    assert high - low > 0.4  # four speakers, not 240 clips


def test_one_speaker_alone_is_drawn_by_recording(clips: Samples) -> None:
    alone = clips.take(clips.subjects == "02")
    assert resampling_groups(alone)[1] == "clip"
    result = measure(predict(Planted(), alone))
    assert (result.intervals_by, result.n_groups, result.n_subjects) == ("clip", 60, 1)
    assert set(result.intervals) == {"accuracy", "uar", "macro_f1"}


def test_json_has_the_promised_keys_at_the_top(answers: Predictions) -> None:
    plain = json.loads(json.dumps(measure(answers).to_dict(), allow_nan=False))
    assert {
        "accuracy",
        "uar",
        "n",
        "n_subjects",
        "intervals",
        "seen_in_training",
        "accuracy_unseen",
        "uar_unseen",
    } <= set(plain)
    assert set(plain["intervals"]) == {"accuracy", "uar", "macro_f1"}
    assert set(plain["groups"]["sex"]["male"]) == {"n", "n_subjects", "accuracy", "uar", "intervals"}
    assert next(iter(plain["groups"]["subject"])) == "01"
    assert {"ece", "ece_floor", "ece_above_floor", "brier", "nll", "confusion_matrix", "per_class"} <= set(plain)


def test_out_of_fold_probabilities_become_the_same_result(twenty: Samples) -> None:
    z = 3 * random_logits(twenty)  # overconfident
    result = measure_probabilities(twenty, softmax(z), output="ravdess8")
    groups, _ = resampling_groups(twenty)
    p = cross_fitted(z, twenty.labels, folds=5, seed=0, groups=groups)
    assert result.temperature_fitted == pytest.approx(fit_temperature(z, twenty.labels), rel=1e-6)
    assert result.ece == pytest.approx(ece(softmax(z), twenty.labels))
    assert result.ece_cross_fitted == pytest.approx(ece(p, twenty.labels), abs=1e-6)
    assert result.ece_cross_fitted_floor == pytest.approx(ece_floor(p), abs=1e-6)
    assert result.ece_cross_fitted_above_floor is not None
    assert result.ece_cross_fitted_above_floor < result.ece_above_floor
    assert result.nll_cross_fitted is not None
    assert result.nll_cross_fitted < result.nll
    assert (result.cross_fitting_folds, result.seen_in_training, result.n_unseen) == (5, (), 1200)
    assert result.uar_unseen == result.uar
    assert result.caveat == ""
    assert "out of fold" in to_text(result)


def test_out_of_fold_probabilities_may_be_certain(twenty: Samples) -> None:
    p = np.eye(8)[(twenty.labels + (np.arange(1200) % 3 == 0)) % 8]
    result = measure_probabilities(twenty, p)
    assert result.accuracy == pytest.approx(2 / 3)
    assert np.isfinite(result.nll)


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (np.full((3, 8), 1 / 8), r"probabilities must be of shape \(1200, 8\), one row a sample, but got \(3, 8\)"),
        (np.full((1200, 7), 1 / 7), r"must be of shape \(1200, 8\)"),
        (np.full((1200, 8), 1.0), "must sum to one"),
        (np.full((1200, 8), np.nan), "must be finite"),
        (np.zeros((0, 8)), "not empty"),
    ],
)
def test_probabilities_that_are_none(twenty: Samples, probabilities: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure_probabilities(twenty, probabilities)


def test_clips_without_a_label_are_left_out_and_counted(twenty: Samples) -> None:
    labels = twenty.labels.copy()
    labels[:10] = -1
    result = measure_probabilities(replace(twenty, labels=labels), softmax(random_logits(twenty)))
    assert (result.n, result.n_unlabeled) == (1190, 10)
    nothing = replace(twenty, labels=np.full(1200, -1))
    with pytest.raises(DatasetError, match="no sample of ravdess has a label"):
        measure_probabilities(nothing, softmax(random_logits(twenty)))
    with pytest.raises(DatasetError, match=r"no sample of ravdess has a label$"):
        predict(Planted(), nothing)


@pytest.mark.parametrize(
    ("training", "seen"),
    [
        ({"dataset": "ravdess", "subjects": ["01", "02"]}, {"01", "02"}),
        ({"dataset": "emodb", "subjects": ["01"]}, set()),
        ({"dataset": "ravdess"}, None),
        ({"dataset": "ravdess", "subjects": "01"}, None),
        ({"dataset": 3}, None),
        ({}, None),
    ],
)
def test_whom_a_model_has_heard(training: dict[str, Any], seen: set[str] | None) -> None:
    assert training_subjects(training, "ravdess") == seen


def test_speakers_heard_in_training_are_told_apart(clips: Samples) -> None:
    model = Planted(record(training={"dataset": "ravdess", "subjects": ["03", "04", "23"]}))
    result = evaluate(model, clips)
    assert result.seen_in_training == ("03", "04")
    assert result.n_unseen == 120
    assert result.accuracy_unseen == pytest.approx(32 / 120)
    assert "accuracy_unseen" in result.intervals
    assert "trained on 2 of the 4 subjects" in result.caveat
    assert "no measure of generalization" in result.caveat
    text = to_text(result)
    assert "CAUTION: planted-speech was trained on 2 of the 4 subjects of these clips" in text
    assert "accuracy, unseen subjects  26.67 %" in text
    assert "2 of 4 subjects were seen in training" in text


def test_all_heard_leaves_no_figure_for_strangers(clips: Samples) -> None:
    model = Planted(record(training={"dataset": "ravdess", "subjects": [f"{i:02}" for i in range(1, 21)]}))
    result = evaluate(model, clips)
    assert (result.n_unseen, result.accuracy_unseen, result.uar_unseen) == (0, None, None)
    assert "trained on all 4 subjects" in result.caveat
    assert result.caveat.endswith("and there is no other subject")


def test_another_corpus_is_unheard_and_a_silent_record_is_no_promise(clips: Samples) -> None:
    other = evaluate(Planted(record(training={"dataset": "emodb", "subjects": ["03"]})), clips)
    assert (other.seen_in_training, other.n_unseen, other.training_note) == ((), 240, "no subject was seen in training")
    assert other.accuracy_unseen == other.accuracy
    silent = evaluate(Planted(), clips)
    assert (silent.seen_in_training, silent.accuracy_unseen) == (None, None)
    assert "not known which of these subjects" in to_text(silent)


def test_clips_without_a_name_are_not_called_unseen(twenty: Samples) -> None:
    subjects = twenty.subjects.copy()
    subjects[:60] = ""
    named = twenty.with_columns(subject=subjects)
    result = measure_probabilities(named, softmax(random_logits(twenty)), training_subjects={"02"})
    assert result.n_unseen == 1200 - 120
    assert measure_probabilities(named, softmax(random_logits(twenty)), training_subjects=()).n_unseen == 1200


def test_labels_that_the_model_does_not_have_are_left_out(clips: Samples) -> None:
    result = evaluate(Planted(record(FER7)), clips)
    assert (result.n, result.n_no_common_label) == (240 - 32, 32)  # calm
    assert "calm is never predicted" in result.labels_mapping
    assert "32 left out with a label that the model does not have" in to_text(result)


def test_calm_becomes_neutral_on_a_corpus_of_seven(tmp_path: Path) -> None:
    for place, emotion in enumerate(("neutral", "anger", "sadness")):
        answer = (1, 4, 3)[place]  # calm, anger, sadness of ravdess8
        for number in range(3):
            write_wav(tmp_path / emotion / f"s{number}.wav", tone(hz=300 + 150 * answer, seconds=0.3))
    clips = load_dataset("speech_folder", tmp_path, subject=r"s\d")
    result = evaluate(Planted(), clips)
    assert (result.accuracy, result.n, result.n_subjects) == (1.0, 9, 3)
    assert "calm" in result.labels_mapping
    assert result.labels == FER7.emotions


def test_an_unreadable_clip_is_a_line_and_all_unreadable_an_error(corpus: Path, tmp_path: Path) -> None:
    names = sorted(ravdess_names([1, 2]))
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((corpus / name).read_bytes())
    (tmp_path / names[0]).write_bytes(b"")
    (tmp_path / names[1]).write_bytes(b"no sound at all" * 9)
    (tmp_path / names[2]).write_bytes((corpus / names[2]).read_bytes()[:44])
    clips = load_dataset("ravdess", tmp_path)
    seen: list[int] = []
    answers = predict(Planted(), clips, progress=seen.append)
    result = measure(answers)
    assert (result.n, result.n_unreadable, sum(seen)) == (117, 3, 120)
    assert [line.split(":")[0] for line in result.problems] == names[:3]
    assert f"problems\n{names[0]}: " in to_text(result)
    for name in names:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DatasetError, match=r"no sample of ravdess could be read, the first: Actor_01/03-01-01"):
        predict(Planted(), clips)


def test_clips_are_given_at_their_own_rate(tmp_path: Path) -> None:
    write_wav(tmp_path / "anger" / "a.wav", tone(seconds=0.3, rate_hz=44100), 44100)
    write_wav(tmp_path / "anger" / "b.wav", tone(seconds=0.3, rate_hz=8000), 8000)
    model = Planted()
    evaluate(model, load_dataset("speech_folder", tmp_path))
    assert model.rates == [44100, 8000]


def test_a_model_that_answers_nonsense(clips: Samples) -> None:
    class Wrong(Planted):
        def clip_logits(self, wave: NDArray[np.float32], *, rate_hz: int) -> dict[str, NDArray[np.float32]]:
            return {"ravdess8": np.full(int(self.margin), np.nan, dtype=np.float32)}

    with pytest.raises(ModelError, match="values that are not finite"):
        predict(Wrong(margin=8), clips)
    with pytest.raises(ModelError, match=r"must have shape \(8,\), but got \(7,\)"):
        predict(Wrong(margin=7), clips)
    with pytest.raises(ModelError, match="has no output 'x'"):
        predict(Planted(), clips, labels_as="x")


def test_two_models_on_the_clips_that_both_answered(clips: Samples, answers: Predictions) -> None:
    right = from_probabilities(clips, np.eye(8)[clips.labels], model="right")
    paired = compare(right, answers)
    assert (paired.first, paired.second, paired.n) == ("right", "planted-speech", 240)
    assert (paired.only_first_right, paired.only_second_right) == (88, 0)
    assert paired.accuracy_difference == pytest.approx(88 / 240)
    assert (paired.intervals_by, paired.dataset, paired.split) == ("subject", "ravdess", "all")
    some = compare(right, predict(Planted(record(FER7)), clips))
    assert some.n == 208
    part = from_probabilities(clips.take(np.arange(5)), np.eye(8)[clips.labels[:5]])
    rest = from_probabilities(clips.take(np.arange(5, 9)), np.eye(8)[clips.labels[5:9]])
    with pytest.raises(InputError, match="on the same samples, but got predictions for different ones"):
        compare(part, rest)
    with pytest.raises(InputError, match="on the same samples"):
        compare(right, replace(right, samples=replace(clips, source="elsewhere")))


def test_many_speakers_are_not_all_named(twenty: Samples) -> None:
    text = to_text(measure_probabilities(twenty, softmax(random_logits(twenty))))
    assert "and 10 more with a higher UAR" in text


def test_two_clips_are_enough(tmp_path: Path) -> None:
    write_wav(tmp_path / "anger" / "a.wav", tone(seconds=0.3))
    result = evaluate(Planted(), load_dataset("speech_folder", tmp_path))
    assert (result.n, result.intervals, result.ece_cross_fitted, result.temperature_fitted) == (1, {}, None, None)
    json.dumps(result.to_dict(), allow_nan=False)
    assert "1 clips" in to_text(result)
