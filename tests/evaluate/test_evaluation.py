from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from sklearn import metrics as oracle

from mien.data import Samples
from mien.errors import DatasetError, InputError, ModelError
from mien.evaluate import Evaluation, evaluate, softmax
from mien.evaluate.predictions import choose_output
from mien.labels import BAUM8, FER7, FERPLUS8, RAVDESS8, LabelSet
from planted_predictions import Fake, data, make_images, output, spec


def setting(
    n: int = 140, labels: LabelSet = FER7, seed: int = 0, **options: float
) -> tuple[Fake, Samples, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    z = generator.normal(0, 2, (n, len(labels)))
    truth = np.arange(n) % len(labels)
    z[np.arange(n), truth] += 2
    images = make_images(n, seed)
    fake = Fake(images, {labels.name: z}, spec(output(labels, default=True, **options)))  # type: ignore[arg-type]
    return fake, data(images, truth, labels), z, truth


def test_figures_agree_with_scikit_learn() -> None:
    fake, rows, z, truth = setting(temperature=1.5)
    result = evaluate(fake, rows)
    answers, p = z.astype(np.float32).argmax(axis=1), softmax(z.astype(np.float32), temperature=1.5)
    assert result.accuracy == pytest.approx(oracle.accuracy_score(truth, answers))
    assert result.uar == pytest.approx(oracle.balanced_accuracy_score(truth, answers))
    assert result.macro_f1 == pytest.approx(oracle.f1_score(truth, answers, average="macro"))
    assert result.nll == pytest.approx(oracle.log_loss(truth, p))
    assert result.brier == pytest.approx(np.mean(((p - np.eye(7)[truth]) ** 2).sum(axis=1)))
    np.testing.assert_array_equal(result.confusion_matrix, oracle.confusion_matrix(truth, answers))
    report = oracle.classification_report(truth, answers, target_names=FER7.emotions, output_dict=True)
    for entry in result.per_class:
        expected = report[entry.label]
        assert (entry.precision, entry.recall, entry.f1) == pytest.approx(
            (expected["precision"], expected["recall"], expected["f1-score"])
        )
        assert entry.support == expected["support"]
    assert result.ece_above_floor == result.ece - result.ece_floor
    low, high = result.intervals["accuracy"]
    assert low < result.accuracy < high
    assert (result.model, result.model_version, result.dataset, result.split) == ("fake", "3", "fer2013", "PublicTest")
    assert (result.protocol, result.output, result.labels_mapping) == ("published labels", "fer7", "one to one")
    assert (result.n, result.n_unlabeled, result.views, result.temperature) == (140, 0, 1, 1.5)


@pytest.mark.parametrize(
    ("plant", "accuracy", "ece", "brier"),
    [
        (lambda right: 50 * right, 1, 0, 0),
        (lambda right: 50 * np.roll(right, 1, axis=1), 0, 1, 2),
        (lambda right: np.zeros_like(right), 1 / 7, 0, 1 - 1 / 7),
    ],
    ids=["perfect", "adversarial", "uniform"],
)
def test_extreme_predictors(
    plant: Callable[[np.ndarray], np.ndarray], accuracy: float, ece: float, brier: float
) -> None:
    fake, rows, _, truth = setting(70)
    fake.planted["fer7"] = plant(np.eye(7)[truth])
    result = evaluate(fake, rows)
    assert result.accuracy == pytest.approx(accuracy)
    assert result.uar == pytest.approx(accuracy)
    assert result.ece == pytest.approx(ece, abs=1e-6)
    assert result.brier == pytest.approx(brier, abs=1e-6)
    assert result.confusion_matrix == tuple(
        map(tuple, oracle.confusion_matrix(truth, plant(np.eye(7)[truth]).argmax(axis=1), labels=range(7)).tolist())
    )
    if ece == 0 and accuracy == 1:
        assert result.intervals["accuracy"] == (1, 1)


def test_a_calibrated_model_is_at_the_floor_and_cross_fitting_repairs_a_wrong_temperature() -> None:
    generator = np.random.default_rng(5)
    z = generator.normal(0, 2, (2000, 7)).astype(np.float32)
    p = softmax(z)
    truth = (p.cumsum(axis=1)[:, :-1] < generator.random((2000, 1))).sum(axis=1)
    images = np.arange(2000 * 4, dtype=np.uint16).view(np.uint8).reshape(2000, 2, 4)

    class Direct:
        def __init__(self, temperature: float) -> None:
            self.spec = spec(output(FER7, default=True, temperature=temperature))
            self.at = 0

        def logits(self, crops: np.ndarray) -> dict[str, np.ndarray]:
            self.at += len(crops)
            return {"fer7": z[self.at - len(crops) : self.at]}

    good, bad = (evaluate(Direct(t), data(images, truth)) for t in (1.0, 0.3))
    assert abs(good.ece_above_floor) < 0.01
    assert bad.ece_above_floor > 0.1
    assert bad.ece_cross_fitted_above_floor is not None
    assert abs(bad.ece_cross_fitted_above_floor) < 0.01
    assert bad.temperature_fitted == pytest.approx(1, abs=0.1)
    assert bad.accuracy == good.accuracy


def test_batches_progress_and_order_do_not_matter() -> None:
    fake, rows, _, _ = setting()
    done: list[int] = []
    small = evaluate(fake, rows, batch_size=33, progress=done.append)
    assert done == fake.batches == [33, 33, 33, 33, 8]
    assert small == evaluate(fake, rows)
    shuffled = evaluate(fake, rows.take(np.random.default_rng(1).permutation(140)))
    assert shuffled.accuracy == small.accuracy
    assert shuffled.confusion_matrix == small.confusion_matrix
    assert shuffled.nll == pytest.approx(small.nll)


def test_rows_without_a_label_are_left_out_and_counted() -> None:
    fake, rows, _, truth = setting()
    some = truth.copy()
    some[:40] = -1
    result = evaluate(fake, data(rows.images, some))
    assert (result.n, result.n_unlabeled) == (100, 40)
    assert sum(fake.batches) == 100
    assert result.accuracy == evaluate(fake, rows.take(np.arange(40, 140))).accuracy
    with pytest.raises(DatasetError, match="made by the test: no sample of fer2013 PublicTest has a label"):
        evaluate(fake, data(rows.images, np.full(140, -1)))


def test_overlap_with_training() -> None:
    fake, rows, z, truth = setting()
    right = z.astype(np.float32).argmax(axis=1) == truth
    training = data(np.concatenate([make_images(5, seed=9), rows.images[[3, 17, 50]]]), np.zeros(8), split="Training")
    result = evaluate(fake, rows, training=training)
    assert result.n_overlap == 3
    assert result.accuracy_overlap_free == pytest.approx(np.delete(right, [3, 17, 50]).mean())
    assert set(result.intervals) == {"accuracy", "uar", "macro_f1", "accuracy_overlap_free"}
    unknown = evaluate(fake, rows)
    assert (unknown.n_overlap, unknown.accuracy_overlap_free) == (None, None)
    assert set(unknown.intervals) == {"accuracy", "uar", "macro_f1"}
    assert unknown.accuracy == result.accuracy
    all_known = evaluate(fake, rows, training=data(rows.images, truth, split="Training"))
    assert (all_known.n_overlap, all_known.accuracy_overlap_free) == (140, None)
    none_known = evaluate(fake, rows, training=data(make_images(5, seed=9), np.zeros(5), split="Training"))
    assert (none_known.n_overlap, none_known.accuracy_overlap_free) == (0, none_known.accuracy)


def test_copies_of_an_image_widen_the_interval() -> None:
    fake, rows, _, _ = setting()
    copies = rows.take(np.tile(np.arange(140), 4))
    once, four = (evaluate(fake, part).intervals["accuracy"] for part in (rows, copies))
    assert four.high - four.low == pytest.approx(once.high - once.low, rel=0.1)


def test_two_views_average_the_mirror_image() -> None:
    images = make_images(2)
    both = np.concatenate([images, images[:, :, ::-1]])
    z = np.zeros((4, 7))
    z[0, 1], z[2, 0] = 2, 5  # alone the first view says 1; with its mirror image the answer is 0
    z[1, 3], z[3, 3] = 1, 1
    fake = Fake(both, {"fer7": z}, spec(output(FER7, default=True)))
    rows = data(images, np.array([0, 3]))
    assert evaluate(fake, rows).accuracy == 0.5
    two = evaluate(fake, rows, flip=True)
    assert two.accuracy == 1
    assert two.views == 2
    expected = softmax(np.array([z[0] + z[2], z[1] + z[3]]) / 2)
    assert two.nll == pytest.approx(-np.log(expected[[0, 1], [0, 3]]).mean())


def test_contempt_is_dropped_where_the_data_has_none() -> None:
    fake, rows, z, truth = setting(160, FERPLUS8)
    names = [FER7.emotions.index(e) if e in FER7.emotions else -1 for e in FERPLUS8.emotions]
    in_fer7 = np.array(names)[truth]
    result = evaluate(fake, data(rows.images, in_fer7), labels_as="ferplus8")
    kept = [FERPLUS8.index(e) for e in FER7.emotions]
    p = softmax(z.astype(np.float32)[:, kept])
    here = in_fer7 >= 0
    assert result.labels_mapping == "contempt is dropped and the rest renormalized"
    assert (result.output, result.n, result.labels) == ("ferplus8", 140, FER7.emotions)
    assert result.accuracy == pytest.approx(np.mean(p.argmax(axis=1)[here] == in_fer7[here]))
    assert result.nll == pytest.approx(oracle.log_loss(in_fer7[here], p[here]))


def test_an_output_without_contempt_is_always_wrong_about_it() -> None:
    fake, rows, _, _ = setting()
    in_8 = np.array([FERPLUS8.index(e) for e in FER7.emotions])[np.arange(140) % 7]
    with_contempt = in_8.copy()
    with_contempt[:7] = FERPLUS8.index("contempt")
    plain = evaluate(fake, data(rows.images, in_8, FERPLUS8), labels_as="fer7")
    result = evaluate(fake, data(rows.images, with_contempt, FERPLUS8), labels_as="fer7")
    contempt = result.per_class[FERPLUS8.index("contempt")]
    assert (contempt.recall, contempt.precision, contempt.support, contempt.predicted) == (0, None, 7, 0)
    assert plain.per_class[FERPLUS8.index("contempt")].recall is None
    assert result.nll > plain.nll + 7 / 140 * 30
    assert np.isfinite(result.nll)
    assert result.temperature_fitted == pytest.approx(plain.temperature_fitted, rel=0.3)


def test_merged_labels_add_up() -> None:
    fake, rows, z, truth = setting(80, RAVDESS8)
    to_8 = [FERPLUS8.index("neutral" if e == "calm" else e) for e in RAVDESS8.emotions]
    result = evaluate(fake, data(rows.images, np.array(to_8)[truth], FERPLUS8), labels_as="ravdess8")
    p = np.zeros((80, 8))
    np.add.at(p.T, to_8, softmax(z.astype(np.float32)).T)
    assert result.nll == pytest.approx(oracle.log_loss(np.array(to_8)[truth], p, labels=range(8)))


def test_choice_of_the_output() -> None:
    model = spec(output(FERPLUS8, default=True), output(FER7), output(BAUM8, name="other"))
    assert choose_output(model, FER7).name == "fer7"
    assert choose_output(model, FERPLUS8).name == "ferplus8"
    assert choose_output(model, FER7, "ferplus8").name == "ferplus8"
    assert choose_output(spec(output(BAUM8, default=True)), FERPLUS8).name == "baum8"
    two = spec(output(FER7, name="a"), output(FER7, name="b", default=True))
    assert choose_output(two, FER7).name == "b"
    assert choose_output(spec(output(FERPLUS8, default=True)), FER7).name == "ferplus8"
    with pytest.raises(ModelError, match="model 'fake' has no output 'nine': it has ferplus8, fer7, other"):
        choose_output(model, FER7, "nine")


def test_one_row() -> None:
    fake, rows, _, _ = setting()
    result = evaluate(fake, rows.take(np.array([0])))
    assert result.n == 1
    assert (result.ece_cross_fitted, result.temperature_fitted) == (None, None)


def test_what_cannot_be_measured() -> None:
    fake, rows, _, _ = setting()
    mixed = rows.take([0, 1]).with_columns(split=["Training", "PublicTest"])
    with pytest.raises(DatasetError, match="evaluate takes samples of one split, but got Training, PublicTest"):
        evaluate(fake, mixed)
    with pytest.raises(DatasetError, match="samples of one split, but got none"):
        evaluate(fake, rows.take(np.zeros(140, dtype=bool)))
    with pytest.raises(InputError, match="batch_size must be an integer of at least 1, but got 0"):
        evaluate(fake, rows, batch_size=0)
    fake.planted["fer7"] = np.full((140, 7), np.nan)
    with pytest.raises(ModelError, match="output 'fer7' has values that are not finite"):
        evaluate(fake, rows)
    fake.planted["fer7"] = np.zeros((140, 8))
    with pytest.raises(ModelError, match=r"output 'fer7' must have shape \(140, 7\), but got \(140, 8\)"):
        evaluate(fake, rows)


def test_result_is_plain_data_and_the_same_every_time() -> None:
    fake, rows, _, _ = setting()
    result = evaluate(fake, rows)
    assert isinstance(result, Evaluation)
    assert evaluate(fake, rows) == result
    assert evaluate(fake, rows, seed=1).ece_floor != result.ece_floor
    plain = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert plain["labels"] == list(FER7.emotions)
    assert plain["intervals"]["uar"] == list(result.intervals["uar"])
    assert plain["confusion_matrix"] == [list(row) for row in result.confusion_matrix]
    assert plain["per_class"][0]["label"] == "anger"
    with pytest.raises(AttributeError):
        result.accuracy = 1  # type: ignore[misc]
