"""Outputs that are means of others, and biases of outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mien.errors import ModelError
from mien.labels import FER7, FERPLUS8, mapping
from mien.models import ModelSpec
from mien.models.emotion import output_logits, softmax
from mien.models.spec import parse_record

Change = Callable[[dict[str, Any]], None]

BOTH = {"name": "both", "labels": "ferplus8", "temperature": 1.5, "mean_of": ["ferplus8", "fer7"], "default": False}


@pytest.fixture
def with_mean(record: dict[str, Any]) -> ModelSpec:
    record["outputs"].append(dict(BOTH))
    return parse_record(record, "model.toml")


def random_tensors(seed: int = 0, rows: int = 5) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {
        "mean": generator.normal(0, 2, (rows, 8)).astype(np.float32),
        "negative": generator.normal(0, 2, (rows, 7)).astype(np.float32),
    }


def test_a_mean_is_the_geometric_mean_over_the_common_labels(with_mean: ModelSpec) -> None:
    tensors = random_tensors()
    first, second = softmax(tensors["mean"], 1.25), softmax(tensors["negative"], 0.5)
    found = softmax(output_logits(with_mean, tensors)["both"])
    assert found[:, FERPLUS8.index("contempt")] == pytest.approx(first[:, FERPLUS8.index("contempt")], abs=1e-6)
    expected = np.sqrt(first[:, [FERPLUS8.index(emotion) for emotion in FER7]] * second)
    expected /= expected.sum(axis=1, keepdims=True)
    assert mapping(FERPLUS8, FER7).apply(found) == pytest.approx(expected, abs=1e-6)


def test_the_heads_stay_as_they_are(with_mean: ModelSpec) -> None:
    tensors = random_tensors()
    found = output_logits(with_mean, tensors)
    assert list(found) == ["ferplus8", "fer7", "both"]
    assert found["ferplus8"] is tensors["mean"]
    assert found["both"].dtype == np.float32
    assert [head.name for head in with_mean.heads] == ["ferplus8", "fer7"]


def test_a_head_that_rules_an_emotion_out_leaves_finite_logits(with_mean: ModelSpec) -> None:
    tensors = random_tensors()
    tensors["mean"][:, 0] = 1e4
    tensors["negative"][:, FER7.index("anger")] = -1e4
    assert np.isfinite(output_logits(with_mean, tensors)["both"]).all()


@pytest.mark.parametrize("number", [1, 2])
def test_a_bias_is_subtracted_from_an_output(record: dict[str, Any], number: int) -> None:
    record["outputs"].append(dict(BOTH))
    plain = output_logits(parse_record(record, "model.toml"), random_tensors())
    output = record["outputs"][number]
    bias = [0.5 * k for k in range(7 if number == 1 else 8)]
    output["bias"] = bias
    spec = parse_record(record, "model.toml")
    assert parse_record(spec.to_dict(), spec.path) == spec
    found = output_logits(spec, random_tensors())
    for name, logits in plain.items():
        expected = logits - np.array(bias) if name == output["name"] else logits
        assert found[name] == pytest.approx(expected, abs=1e-5)


def test_a_record_with_a_mean_survives_being_written(with_mean: ModelSpec) -> None:
    again = parse_record(with_mean.to_dict(), with_mean.path)
    assert again == with_mean
    assert again.output("both").mean_of == ("ferplus8", "fer7")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda o: o.update(tensor="mean"), "either 'tensor' or 'mean_of'"),
        (lambda o: o.update(mean_of=[]), "either 'tensor' or 'mean_of'"),
        (lambda o: o.update(mean_of="fer7"), "'mean_of'.* must be an array of strings"),
        (lambda o: o.update(mean_of=["fer8"]), "'both' is a mean of 'fer8', which is no head"),
        (lambda o: o.update(mean_of=["both"]), "which is no head"),
        (lambda o: o.update(mean_of=["fer7", "ferplus8"]), "a mean of 'fer7', which lacks its labels"),
        (lambda o: o.update(bias=[0.0] * 7), "'bias' must have 8 numbers"),
        (lambda o: o.update(bias=[float("nan")] * 8), "must be a finite number"),
        (lambda o: o.pop("mean_of"), "'tensor' is missing"),
    ],
)
def test_a_wrong_mean_is_refused(record: dict[str, Any], change: Change, match: str) -> None:
    output = dict(BOTH)
    change(output)
    record["outputs"].append(output)
    with pytest.raises(ModelError, match=match):
        parse_record(record, "model.toml")
