from __future__ import annotations

import contextlib
import copy
import datetime as dt
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from mien.errors import ModelError
from mien.labels import FER7, FERPLUS8, RAVDESS8, LabelSet
from mien.models import ModelSpec
from mien.models.spec import parse_record

Record = dict[str, Any]


def test_a_record_becomes_a_model_and_back(record: Record) -> None:
    spec = parse_record(tomli_w.dumps(record), Path("folder/model.toml"))
    assert (spec.name, spec.task, spec.version, spec.date) == ("tiny", "face-emotion", "1.2", dt.date(2026, 1, 31))
    assert spec.path == Path("folder/model.toml")
    assert spec.input is not None
    assert (spec.input.size, spec.input.layout, spec.input.dtype, spec.input.color) == (8, "NHWC", "uint8", "RGB")
    assert [(o.name, o.labels, o.temperature) for o in spec.outputs] == [
        ("ferplus8", FERPLUS8, 1.25),
        ("fer7", FER7, 0.5),
    ]
    assert spec.results[0].value == 0.7123
    assert spec.results[0].date == dt.date(2026, 2, 1)
    assert spec.to_dict() == record
    assert parse_record(spec.to_dict(), spec.path) == spec
    assert len({spec, parse_record(record, spec.path)}) == 1


def test_dates_may_be_text(record: Record) -> None:
    record["date"] = "2026-01-31"
    assert parse_record(record, "m.toml").date == dt.date(2026, 1, 31)


def test_a_detector_has_no_outputs(record: Record) -> None:
    for key in ("input", "crop", "outputs", "results"):
        del record[key]
    record["task"] = "face-detection"
    spec = parse_record(record, "m.toml")
    assert spec.outputs == ()
    with pytest.raises(ModelError, match="'tiny' is for face-detection and has no emotion outputs"):
        _ = spec.default_output


def test_the_crop_is_a_copy(record: Record) -> None:
    before = copy.deepcopy(record)
    parse_record(record, "m.toml").crop["margin"] = 1
    assert record == before


def _set(*place: Any, to: Any) -> Callable[[Record], None]:
    def change(record: Record) -> None:
        where: Any = record
        for key in place[:-1]:
            where = where[key]
        where[place[-1]] = to

    return change


def _drop(*place: Any) -> Callable[[Record], None]:
    def change(record: Record) -> None:
        where: Any = record
        for key in place[:-1]:
            where = where[key]
        del where[place[-1]]

    return change


WRONG = [
    (_drop("name"), "key 'name' is missing"),
    (_set("name", to="a/b"), "key 'name' must match"),
    (_set("name", to=7), "key 'name' must be a string, but got 7"),
    (_set("description", to="  "), "key 'description' must not be empty"),
    (
        _set("task", to="chess"),
        "key 'task' must be 'face-emotion' or 'face-detection' or 'speech-emotion' or 'speech-activity' or "
        "'video-emotion' or 'emotion-fusion', but got 'chess'",
    ),
    (_set("color", to="red"), "key 'color' is not known"),
    (_set("date", to="31.1.2026"), "key 'date' must be a date such as 2026-01-31, but got '31.1.2026'"),
    (_set("date", to=dt.datetime(2026, 1, 31)), "must be a date such as"),
    (_set("date", to=2026), "key 'date' must be a date such as 2026-01-31, but got 2026"),
    (_set("files", to=[]), r"key 'files' must be an array of tables, \[\[files\]\]"),
    (_set("files", to=3), r"key 'files' must be an array of tables, \[\[files\]\], but got 3"),
    (_set("files", 0, "file", to="../tiny.onnx"), r"\[\[files\]\] number 1: key 'file' must match"),
    (_set("files", 0, "sha256", to="abc"), r"\[\[files\]\] number 1: key 'sha256' must match"),
    (_set("files", 0, "bytes", to=0), "key 'bytes' must be at least 1, but got 0"),
    (_set("files", 0, "url", to="http://a/b"), "key 'url' must match"),
    (_set("files", 0, "bytes", to=True), "key 'bytes' must be an integer, but got True"),
    (_drop("license", "data"), r"\[license\]: key 'data' is missing"),
    (_set("license", to="MIT"), "key 'license' must be a table, but got 'MIT'"),
    (_drop("input"), "key 'input' is missing"),
    (_set("input", "layout", to="HWC"), r"\[input\]: key 'layout' must be 'NHWC' or 'NCHW', but got 'HWC'"),
    (_set("input", "mean", to=[1.0]), r"\[input\]: key 'mean' is for the dtype float32"),
    (_set("input", "mean", to=1.0), r"\[input\]: key 'mean' must be an array of numbers, but got 1.0"),
    (_drop("crop"), "key 'crop' is missing"),
    (_drop("outputs"), "key 'outputs' is missing"),
    (_set("outputs", 0, "labels", to="fer9"), r"\[\[outputs\]\] number 1: key 'labels' unknown label set 'fer9'"),
    (_set("outputs", 1, "temperature", to=0), r"\[\[outputs\]\] number 2: key 'temperature' must be more than 0"),
    (_set("outputs", 1, "temperature", to=float("nan")), "key 'temperature' must be a finite number, but got nan"),
    (_set("outputs", 1, "temperature", to="1"), "key 'temperature' must be a number, but got '1'"),
    (_set("outputs", 1, "default", to=1), "key 'default' must be true or false, but got 1"),
    (_set("outputs", 1, "default", to=True), "exactly one must have 'default = true', but 2 have"),
    (_set("outputs", 0, "default", to=False), "exactly one must have 'default = true', but 0 have"),
    (_set("outputs", 1, "name", to="ferplus8"), "outputs: name 'ferplus8' is given twice"),
    (_set("results", 0, "output", to="fer8"), "output 'fer8' is not one of the model's outputs"),
    (_drop("results", 0, "high"), r"key 'low' needs 'high' beside it"),
    (_drop("results", 0, "command"), r"\[\[results\]\] number 1: key 'command' is missing"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_a_wrong_record_is_an_error_with_file_and_key(
    record: Record, change: Callable[[Record], None], message: str
) -> None:
    change(record)
    with pytest.raises(ModelError, match=f"^m\\.toml: .*{message}"):
        parse_record(record, "m.toml")


def test_files_have_their_own_roles(record: Record) -> None:
    record["files"].append(dict(record["files"][0]))
    with pytest.raises(ModelError, match=r"m\.toml: files: role 'graph' is given twice"):
        parse_record(record, "m.toml")


def test_text_that_is_no_toml_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"m\.toml: not a TOML file: "):
        parse_record("name = = 3", "m.toml")


@pytest.fixture
def voice(record: Record) -> Record:
    """Return a whole record of a speech-emotion model as plain data."""
    del record["input"], record["crop"], record["results"]
    record["task"] = "speech-emotion"
    record["sound"] = {
        "rate_hz": 16000,
        "min_s": 0.5,
        "window_s": 3.0,
        "hop_s": 1.5,
        "pad_s": 0.25,
        "layout": "NT",
        "dtype": "float32",
    }
    record["outputs"] = [
        {"name": "ravdess8", "tensor": "logits", "labels": "ravdess8", "temperature": 1.5, "default": True}
    ]
    record["training"] = {"dataset": "ravdess", "subjects": ["01", "02"]}
    return record


def test_a_record_of_a_speech_model_becomes_a_model_and_back(voice: Record) -> None:
    spec = parse_record(tomli_w.dumps(voice), "m.toml")
    assert spec.input is None
    assert spec.crop == {}
    assert spec.sound is not None
    assert (spec.sound.rate_hz, spec.sound.min_s, spec.sound.window_s, spec.sound.hop_s, spec.sound.pad_s) == (
        16000,
        0.5,
        3.0,
        1.5,
        0.25,
    )
    assert (spec.sound.layout, spec.sound.dtype) == ("NT", "float32")
    assert spec.default_output.labels == RAVDESS8
    assert spec.training["subjects"] == ["01", "02"]
    assert {key: spec.to_dict()["sound"][key] for key in voice["sound"]} == voice["sound"]
    assert parse_record(spec.to_dict(), spec.path) == spec
    assert len({spec, parse_record(voice, spec.path)}) == 1


WRONG_SOUND = [
    (_drop("sound"), "key 'sound' is missing"),
    (_drop("outputs"), "key 'outputs' is missing"),
    (_set("input", to={"size": 48}), "key 'input' is not known"),
    (_drop("sound", "rate_hz"), r"\[sound\]: key 'rate_hz' is missing"),
    (_set("sound", "rate_hz", to=16000.0), r"\[sound\]: key 'rate_hz' must be an integer, but got 16000.0"),
    (_set("sound", "rate_hz", to=999), r"\[sound\]: key 'rate_hz' must be at least 1000, but got 999"),
    (_set("sound", "min_s", to=0), r"\[sound\]: key 'min_s' must be more than 0, but got 0"),
    (_set("sound", "window_s", to=601), r"key 'window_s' must be at most 600.0, but got 601"),
    (_set("sound", "window_s", to=0.25), r"key 'window_s' must be no shorter than 'min_s' and 'hop_s'"),
    (_set("sound", "hop_s", to=3.5), r"key 'window_s' must be no shorter than 'min_s' and 'hop_s'"),
    (_set("sound", "hop_s", to=float("nan")), r"key 'hop_s' must be a finite number, but got nan"),
    (_set("sound", "pad_s", to=-0.1), r"key 'pad_s' must be at least 0, but got -0.1"),
    (_set("sound", "layout", to="TN"), r"key 'layout' must be 'NT', but got 'TN'"),
    (_set("sound", "dtype", to="int16"), r"key 'dtype' must be 'float32', but got 'int16'"),
    (_set("sound", "mels", to=40), r"\[sound\]: key 'mels' is not known: expected dtype, hop_s"),
]


@pytest.mark.parametrize(("change", "message"), WRONG_SOUND)
def test_a_wrong_record_of_a_speech_model_is_an_error(
    voice: Record, change: Callable[[Record], None], message: str
) -> None:
    change(voice)
    with pytest.raises(ModelError, match=f"^m\\.toml: .*{message}"):
        parse_record(voice, "m.toml")


def test_a_face_model_has_no_table_of_sound(record: Record) -> None:
    record["sound"] = {"rate_hz": 16000}
    with pytest.raises(ModelError, match="key 'sound' is not known"):
        parse_record(record, "m.toml")


def test_outputs_and_files_are_found_by_name(spec: ModelSpec) -> None:
    assert spec.default_output.name == "ferplus8"
    assert spec.output() is spec.default_output
    assert spec.output("fer7").tensor == "negative"
    assert spec.file().file == "tiny.onnx"
    assert spec.size_bytes == spec.file().bytes
    with pytest.raises(ModelError, match="model 'tiny' has no output 'baum8': it has ferplus8, fer7"):
        spec.output("baum8")
    with pytest.raises(ModelError, match="model 'tiny' has no file 'pnet': it has graph"):
        spec.file("pnet")


def test_a_model_is_frozen_and_travels_between_processes(spec: ModelSpec) -> None:
    with pytest.raises(FrozenInstanceError):
        spec.name = "other"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_own_labels_and_a_graph_of_others(record: Record) -> None:
    record["input"] = {"size": 8, "layout": "NCHW", "dtype": "float32", "color": "BGR",
                       "mean": [0.5, 0.25, 0.0], "std": [0.5, 0.5, 1.0]}  # fmt: skip
    record["outputs"] = [
        {
            "name": "mood",
            "tensor": "mean",
            "labels": "moods",
            "emotions": ["bored", "happiness", "keen"],
            "temperature": 1.0,
            "default": True,
        }
    ]
    del record["results"]
    spec = parse_record(tomli_w.dumps(record), "m.toml")
    assert spec.default_output.labels == LabelSet("moods", ("bored", "happiness", "keen"))
    assert spec.to_dict() == record
    assert spec.input is not None
    crops = np.zeros((1, 8, 8, 3), np.uint8) + np.array([255, 0, 51], np.uint8)
    feed = spec.input.feed(crops)
    assert (feed.shape, feed.dtype) == ((1, 3, 8, 8), np.float32)
    np.testing.assert_allclose(feed[0, :, 0, 0], [(0.2 - 0.5) / 0.5, -0.5, 1.0], atol=1e-6)
    record["outputs"][0]["emotions"] = ["happy"]
    with pytest.raises(ModelError, match=r"number 1: key 'labels' label set 'moods' must use 'happiness'"):
        parse_record(record, "m.toml")
    record["input"]["color"] = "gray"
    with pytest.raises(ModelError, match=r"\[input\]: key 'mean' must have 1 numbers"):
        parse_record(record, "m.toml")


@pytest.mark.parametrize(
    "text",
    [
        "card = " + "[" * 100_000 + "]" * 100_000,
        "card" + ".a" * 50_000 + " = 1",
        "version = " + "9" * 100_000,
        "\n".join(f"key{number} = {number}" for number in range(50_000)),
        "name = '" + "x" * 1_000_000,
        "date = 9999-99-99",
    ],
    ids=["nested", "dotted", "digits", "keys", "open", "date"],
)
def test_hostile_text_is_a_short_error(text: str) -> None:
    with pytest.raises(ModelError, match=r"^m\.toml: ") as caught:
        parse_record(text, "m.toml")
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value", [10**400, -(10**400), "x" * 100_000, list(range(100_000)), {"a": {"b": "c" * 10_000}}]
)
@pytest.mark.parametrize("key", ["version", "date", "task", "license", "outputs", "crop", "input"])
def test_hostile_values_are_short_errors(record: Record, key: str, value: Any) -> None:
    record[key] = value
    with contextlib.suppress(ModelError):  # some of them are content that is free
        parse_record(record, "m.toml")
        assert isinstance(value, str | dict)
    record["results"][0]["value"] = value
    with pytest.raises(ModelError) as caught:
        parse_record(record, "m.toml")
    assert len(str(caught.value)) < 700
