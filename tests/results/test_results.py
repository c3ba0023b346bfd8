from __future__ import annotations

import copy
import dataclasses
import importlib.util
import json
import math
import pickle
import sys
from collections import ChainMap
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.errors import InputError, MissingExtraError
from mien.labels import BAUM8, FER7, FERPLUS8, RAVDESS8, LabelSet
from mien.results import (
    UNSURE_BELOW,
    Emotion,
    Face,
    FailedItem,
    FusedResult,
    ImageResult,
    SpeechResult,
    SpeechSegment,
    columns,
)

POINTS = ((10.0, 12.0), (20.0, 12.0), (15.0, 18.0), (11.0, 24.0), (19.0, 24.0))


def emotion(**shares: float) -> Emotion:
    rest = (1 - sum(shares.values())) / (len(FER7) - len(shares))
    return Emotion(FER7, tuple(shares.get(name, rest) for name in FER7.emotions))


def result(**more: Any) -> ImageResult:
    happy, flat = emotion(happiness=0.9), Emotion(FERPLUS8, (0.125,) * 8)
    faces = (
        Face((1, 2, 31, 42), 0.99, POINTS, happy, {"fer7": happy, "ferplus8": flat}, ("the face is small",)),
        Face((50.5, 2, 60, 12), 0.7),
    )
    values: dict[str, Any] = {"width": 64, "height": 48, "faces": faces, "path": "a.jpg", "model": "m", "detector": "d"}
    return ImageResult(**{**values, **more})


@st.composite
def distributions(draw: st.DrawFn) -> Emotion:
    labels: LabelSet = draw(st.sampled_from([FER7, FERPLUS8, RAVDESS8, BAUM8]))
    weights = draw(
        st.lists(st.floats(0, 1), min_size=len(labels), max_size=len(labels)).filter(lambda w: sum(w) > 1e-3)
    )
    return Emotion(labels, tuple(w / sum(weights) for w in weights))


@given(distributions())
def test_emotions_agree_with_numpy_and_survive_json(found: Emotion) -> None:
    values = found.to_array()
    assert found.top == found.labels.emotions[int(values.argmax())]
    assert found.confidence == values.max()
    assert found.unsure == (values.max() < 0.5)
    ranked = found.ranked()
    assert [share for _, share in ranked] == sorted(values, reverse=True)
    assert ranked[0] == (found.top, found.confidence)
    assert dict(ranked) == dict(found.items()) == {name: found[name] for name in found}
    assert Emotion.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert pickle.loads(pickle.dumps(found)) == found
    assert found.to(found.labels.name).to_array() == pytest.approx(values, abs=1e-12)
    assert sum(found.to(FER7).probabilities) == pytest.approx(1)


def test_an_emotion_speaks_in_words() -> None:
    found = emotion(happiness=0.6)
    assert (found.top, found.confidence, found.unsure) == ("happiness", 0.6, False)
    assert found["Happy"] == found["happiness"] == 0.6
    assert "joy" in found
    assert "contempt" not in found
    assert "hunger" not in found
    assert 3 not in found
    assert len(found) == 7
    assert list(found) == list(FER7.emotions)
    with pytest.raises(InputError, match="fer7 has no 'contempt'"):
        found["contempt"]
    with pytest.raises(KeyError):
        found["hunger"]
    assert ChainMap({}, found, {"hunger": 0.1})["hunger"] == 0.1  # what reads mappings expects a KeyError
    assert list(found.labels) == list(found)


def test_equals_are_ranked_in_the_order_of_the_set() -> None:
    flat = Emotion(FER7, (1 / 7,) * 7)
    assert flat.top == "anger"
    assert [name for name, _ in flat.ranked()] == list(FER7.emotions)
    assert flat.unsure


def test_valence_and_arousal_are_means_of_published_coordinates() -> None:
    # Russell and Mehrabian 1977, table 1: pleasure and arousal of happy, angry and disgusted.
    happy = Emotion(FER7, tuple(float(name == "happiness") for name in FER7.emotions))
    assert (happy.valence, happy.arousal) == (0.81, 0.51)
    half = Emotion(FER7, tuple({"anger": 0.5, "disgust": 0.5}.get(name, 0.0) for name in FER7.emotions))
    assert half.valence == pytest.approx((-0.51 - 0.60) / 2)
    assert half.arousal == pytest.approx((0.59 + 0.35) / 2)
    assert half.to_dict()["valence"] == half.valence


def test_emotions_without_coordinates_are_left_out_of_valence() -> None:
    shares = {"happiness": 0.6, "contempt": 0.4}
    mixed = Emotion(FERPLUS8, tuple(shares.get(name, 0.0) for name in FERPLUS8.emotions))
    assert mixed.valence == pytest.approx(0.81)
    own = Emotion(LabelSet("moods", ("bored", "engaged")), (0.5, 0.5))
    assert own.valence is None
    assert own.to_dict()["arousal"] is None


@pytest.mark.parametrize(("share", "unsure"), [(0.499, True), (UNSURE_BELOW, False), (0.501, False)])
def test_below_one_half_it_is_unsure(share: float, unsure: bool) -> None:
    assert emotion(fear=share).unsure is unsure


def test_an_emotion_maps_to_another_set_by_name() -> None:
    contempt = Emotion(FERPLUS8, (0.2, 0.2, 0, 0, 0.1, 0, 0, 0.5))
    mapped = contempt.to("fer7")
    assert mapped.labels is FER7
    assert mapped.to_array() == pytest.approx([0.2, 0, 0, 0.4, 0, 0, 0.4])
    with pytest.raises(InputError, match="unknown label set 'fer9'"):
        contempt.to("fer9")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((1.0,), "fer7 needs 7 probabilities, but got 1"),
        ((1 / 8,) * 8, "fer7 needs 7 probabilities, but got 8"),
        ((), "fer7 needs 7 probabilities, but got 0"),
        ((0.5, 0.4, 0, 0, 0, 0, 0), "probabilities must sum to 1, but got a sum of 0.9"),
        ((0.5, 0.6, 0, 0, 0, 0, 0), "probabilities must sum to 1, but got a sum of 1.1"),
        ((1.5, -0.5, 0, 0, 0, 0, 0), "probabilities must be finite and not negative"),
        ((math.nan, 1, 0, 0, 0, 0, 0), "probabilities must be finite and not negative"),
        ((math.inf, 0, 0, 0, 0, 0, 0), "probabilities must be finite and not negative"),
    ],
)
def test_an_emotion_checks_itself(values: tuple[float, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Emotion(FER7, values)


def test_float32_sums_are_near_enough_and_become_plain_floats() -> None:
    values = np.full(7, 1 / 7, np.float32)
    found = Emotion(FER7, values)  # type: ignore[arg-type]
    assert all(type(p) is float for p in found.probabilities)
    hash(found)
    json.dumps(found.to_dict())


def test_results_are_frozen() -> None:
    for thing, name in ((emotion(fear=1), "labels"), (result(), "width"), (result().faces[0], "box")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, name, None)


def test_a_face_measures_itself() -> None:
    face = result().faces[0]
    assert (face.width_px, face.height_px) == (30, 40)
    assert all(type(v) is float for v in face.box)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"box": (1, 2, 1, 4)}, "box must be finite x1, y1, x2, y2 with x1 < x2 and y1 < y2"),
        ({"box": (1, 4, 3, 2)}, "box must be finite"),
        ({"box": (1, 2, 3)}, "box must be finite"),
        ({"box": (1, 2, math.nan, 4)}, "box must be finite"),
        ({"box": (1, 2, math.inf, 4)}, "box must be finite"),
        ({"landmarks": POINTS[:4]}, "landmarks must be five finite"),
        ({"landmarks": ((math.nan, 1), *POINTS[1:])}, "landmarks must be five finite"),
        ({"score": 1.01}, "score must be from 0 to 1, but got 1.01"),
        ({"score": math.nan}, "score must be from 0 to 1, but got nan"),
    ],
)
def test_a_face_checks_itself(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Face(**{"box": (0, 0, 1, 1), "score": 0.5, **values})


@pytest.mark.parametrize("size", [{"width": 0}, {"height": -1}])
def test_an_image_has_a_size(size: dict[str, int]) -> None:
    with pytest.raises(InputError, match="an image must have a size, but got"):
        result(**size)


def test_results_survive_json_pickle_and_copies() -> None:
    found = result(warnings=("the file is truncated",), preview=lambda _: b"png")
    assert ImageResult.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    for again in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert again == found
        # A preview may hold pixels and code: it stays where it was made.
        assert again.preview is None
    assert "preview" not in repr(found)


def test_rows_are_flat() -> None:
    first, second = result().rows()
    assert list(first)[:7] == ["path", "face", "x1", "y1", "x2", "y2", "score"]
    assert (first["path"], first["face"], first["x2"], first["emotion"]) == ("a.jpg", 1, 31, "happiness")
    assert (first["confidence"], first["unsure"]) == (pytest.approx(0.9), False)
    assert first["happiness"] == pytest.approx(0.9)
    assert (second["face"], second["x1"]) == (2, 50.5)
    assert second["emotion"] is None
    assert [first["warnings"], second["warnings"]] == ["the face is small", None]
    (empty,) = result(faces=(), warnings=("the file is truncated",), labels=FERPLUS8).rows()
    assert {name for name, value in empty.items() if value is not None} == {"path", "warnings"}
    assert list(empty) == [column.name for column in columns("faces", FERPLUS8)]


def test_a_frame_has_a_row_a_face() -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    for library, kind in ((None, pandas), ("pandas", pandas), ("polars", polars)):
        frame = result().to_frame(library=library)
        assert isinstance(frame, kind.DataFrame)
        assert frame.shape[0] == 2
        assert list(frame["face"]) == [1, 2]
        assert list(frame["x1"]) == [1, 50.5]
        assert frame["happiness"][0] == pytest.approx(0.9)
        empty = result(faces=()).to_frame(library=library)
        assert empty.shape[0] == 1
        assert list(empty.columns) == list(frame.columns)
        assert list(empty.dtypes) == list(frame.dtypes)
        assert list(result(path="raw\udcff.jpg").to_frame(library=library)["face"]) == [1, 2]
    with pytest.raises(InputError, match="table must be one of faces, but got 'tracks'"):
        result().to_frame("tracks")
    with pytest.raises(InputError, match="library must be 'pandas' or 'polars', but got 'numpy'"):
        result().to_frame(library="numpy")


def _hide(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name in names else find(name, *a))
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)


def test_polars_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    polars = pytest.importorskip("polars")
    _hide(monkeypatch, "pandas")
    assert isinstance(result().to_frame(), polars.DataFrame)


def test_without_both_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _hide(monkeypatch, "pandas", "polars")
    with pytest.raises(MissingExtraError, match=r'to_frame needs pandas: pip install "mien\[pandas\]"'):
        result().to_frame()
    with pytest.raises(MissingExtraError, match=r'to_frame needs polars: pip install "mien\[polars\]"'):
        result().to_frame(library="polars")


def test_a_notebook_shows_image_and_table() -> None:
    seen = []

    def preview(shown: ImageResult) -> bytes:
        seen.append(shown)
        return b"PNG"

    found = result(preview=preview)
    page = found._repr_html_()
    assert seen == [found]
    assert "data:image/png;base64,UE5H" in page
    assert "<td>1</td><td>happiness</td><td>0.90</td><td>no</td>" in page
    assert "<td>2</td><td></td><td></td><td></td>" in page
    assert not hasattr(found, "_repr_png_")  # a notebook would keep the image twice
    assert "<img" not in result()._repr_html_()
    assert result(faces=())._repr_html_() == "<p>no face</p>"


def test_a_result_prints_as_one_short_line() -> None:
    assert repr(result()) == "<ImageResult 'a.jpg': 64 x 48 px, 2 faces, happiness 90%, no emotion>"
    many = result(path="x" * 5000, faces=result().faces * 40)
    for shown in (many, heard(), many.faces[0], many.faces[0].emotion, FusedResult()):
        assert len(repr(shown)) < 250
        assert repr(shown).isprintable()


def test_a_notebook_escapes_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = {"face": 1, "emotion": "<script>alert('x')</script>", "confidence": 0.5, "unsure": True}
    monkeypatch.setattr(ImageResult, "rows", lambda self, table=None: [hostile])
    page = result(path="<b>.jpg")._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<b>" not in page
    assert "<td>yes</td>" in page


def test_a_failed_item_is_plain_data() -> None:
    failed = FailedItem("a.jpg", "DecodeError", "a.jpg is empty")
    assert failed.to_dict() == {"path": "a.jpg", "error": "DecodeError", "message": "a.jpg is empty"}
    assert pickle.loads(pickle.dumps(failed)) == FailedItem.from_dict(failed.to_dict()) == failed
    assert failed.rows() == failed.rows("faces") == [failed.to_dict()]
    assert failed.to_frame("frames", "pandas").shape == (1, 3)


# --- speech ---------------------------------------------------------------------------------------


def voice(**shares: float) -> Emotion:
    rest = (1 - sum(shares.values())) / (len(RAVDESS8) - len(shares))
    return Emotion(RAVDESS8, tuple(shares.get(name, rest) for name in RAVDESS8.emotions))


def heard(**more: Any) -> SpeechResult:
    segments = (
        SpeechSegment(0.0, 1.5, False),
        SpeechSegment(1.5, 4.5, True, voice(calm=0.9)),
        SpeechSegment(4.5, 5.5, True, voice(anger=0.4), ("only 0.3 s of speech",)),
        SpeechSegment(5.5, 8.0, False),
    )
    return SpeechResult(**{"duration_s": 8.0, "segments": segments, "path": "a.wav", "model": "m", **more})


@st.composite
def recordings(draw: st.DrawFn) -> SpeechResult:
    lengths = draw(st.lists(st.floats(0.01, 100), max_size=6))
    edges = np.concatenate([[0.0], np.cumsum(lengths)]).tolist()
    segments = []
    for start_s, end_s in pairwise(edges):
        speech = draw(st.booleans())
        weights = draw(st.lists(st.floats(0.01, 1), min_size=8, max_size=8))
        emotion = Emotion(RAVDESS8, tuple(w / sum(weights) for w in weights)) if speech else None
        segments.append(SpeechSegment(start_s, end_s, speech, emotion))
    return SpeechResult(edges[-1], tuple(segments))


@given(recordings())
def test_recordings_survive_json_and_add_up(found: SpeechResult) -> None:
    assert SpeechResult.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    summary = found.summary
    assert sum(segment.duration_s for segment in found.segments) == pytest.approx(found.duration_s)
    assert summary.speech_s == found.speech_s == pytest.approx(sum(summary.seconds.values()))
    assert list(summary.seconds.values()) == sorted(summary.seconds.values(), reverse=True)
    spoken = [segment for segment in found.segments if segment.emotion is not None]
    if not spoken:
        assert summary.emotion is None
        return
    weights = np.array([segment.duration_s for segment in spoken])
    mean = weights @ np.array([segment.emotion.to_array() for segment in spoken if segment.emotion]) / weights.sum()
    assert summary.emotion is not None
    np.testing.assert_allclose(summary.emotion.to_array(), mean, atol=1e-9)


def test_the_summary_of_a_recording() -> None:
    summary = heard().summary
    assert (summary.duration_s, summary.speech_s) == (8.0, 4.0)
    assert summary.seconds == {"calm": 3.0, "anger": 1.0}
    assert summary.emotion is not None
    assert summary.emotion["calm"] == pytest.approx((3 * 0.9 + 0.6 / 7) / 4)
    assert heard().to_dict()["summary"]["seconds"] == {"calm": 3.0, "anger": 1.0}
    empty = SpeechResult(0.0)
    assert (empty.speech_s, empty.summary.emotion, empty.summary.seconds) == (0, None, {})


@pytest.mark.parametrize(
    ("start_s", "end_s"), [(1.0, 1.0), (2.0, 1.0), (-0.1, 1.0), (math.nan, 1.0), (0.0, math.inf), (0.0, math.nan)]
)
def test_a_segment_has_a_beginning_before_its_end(start_s: float, end_s: float) -> None:
    with pytest.raises(InputError, match="a segment must be 0 <= start_s < end_s, but got"):
        SpeechSegment(start_s, end_s, False)


def test_silence_has_no_emotion() -> None:
    with pytest.raises(InputError, match="a segment without speech has no emotion"):
        SpeechSegment(0, 1, False, voice(calm=0.9))


@pytest.mark.parametrize(
    ("duration_s", "segments", "message"),
    [
        (3.0, [(0.5, 3.0)], "without gaps, but one ends at 0 s and the next begins at 0.5 s"),
        (3.0, [(0.0, 1.0), (1.5, 3.0)], "one ends at 1 s and the next begins at 1.5 s"),
        (3.0, [(0.0, 2.0), (1.5, 3.0)], "one ends at 2 s and the next begins at 1.5 s"),
        (3.0, [(0.0, 2.0)], "must cover 0 to 3 s without gaps, but one ends at 2 s"),
        (3.0, [], "must cover 0 to 3 s"),
        (-1.0, [], "duration_s must be finite and not negative, but got -1.0"),
        (math.nan, [], "duration_s must be finite and not negative, but got nan"),
    ],
)
def test_segments_cover_the_recording(duration_s: float, segments: list[tuple[float, float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SpeechResult(duration_s, tuple(SpeechSegment(a, b, False) for a, b in segments))


def test_each_channel_of_a_recording_is_a_voice() -> None:
    angry, calm = voice(anger=0.9), voice(calm=0.9)
    parts = [(0.0, 1.0, None, 1), (0.0, 3.0, calm, 2), (1.0, 4.0, angry, 1), (3.0, 4.0, None, 2)]
    segments = [SpeechSegment(a, b, emotion is not None, emotion, channel=channel) for a, b, emotion, channel in parts]
    found = SpeechResult(4.0, tuple(segments), path="a.wav")
    assert {channel: one.segments for channel, one in found.voices.items()} == {
        1: tuple(segments[::2]),
        2: tuple(segments[1::2]),
    }
    assert (found.speech_s, found.voices[1].summary.seconds) == (6.0, {"anger": 3})
    assert [(row["segment"], row["channel"]) for row in found.rows()] == [(1, 1), (2, 2), (3, 1), (4, 2)]
    data = json.loads(json.dumps(found.to_dict()))
    assert SpeechResult.from_dict(data) == found
    assert [(one["channel"], one["seconds"]) for one in data["voices"]] == [(1, {"anger": 3.0}), (2, {"calm": 3.0})]
    assert (found.channel, found.voices[2].channel) == ("mix", 2)
    assert (heard().channel, heard().to_dict()["voices"]) == ("mix", [])
    assert "<th>channel</th>" in found._repr_html_()
    assert "<th>channel</th>" not in heard()._repr_html_()
    with pytest.raises(InputError, match="without gaps, but one ends at 1 s and the next begins at 4 s"):
        SpeechResult(4.0, (*segments[:2], segments[3]))


def test_rows_of_a_recording_are_flat() -> None:
    first, second, third, _ = heard().rows()
    names = ["path", "segment", "start_s", "end_s", "channel", "speech", "emotion", "confidence", "unsure"]
    assert list(second)[:9] == names
    assert list(second)[9:11] == ["valence", "arousal"]
    assert list(second)[11:-3] == list(RAVDESS8.emotions)
    known = {name: value for name, value in first.items() if value is not None}
    assert known == {"path": "a.wav", "segment": 1, "start_s": 0.0, "end_s": 1.5, "speech": False}
    assert (second["emotion"], second["confidence"], second["unsure"]) == ("calm", pytest.approx(0.9), False)
    assert (third["emotion"], third["unsure"], third["warnings"]) == ("anger", True, "only 0.3 s of speech")
    odd = heard(warnings=("it is clipped",))
    assert odd.rows()[:4] == heard().rows()
    assert odd.rows()[4:] == odd.rows(streamed=True)
    assert [row["warnings"] for row in odd.rows()[4:]] == ["it is clipped"]
    assert second == heard().segments[1].row("a.wav", 2)
    assert [list(row) for row in SpeechResult(0.0).rows()] == [list(second)]


def test_a_frame_of_a_recording_has_a_row_a_segment() -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    for library, kind in ((None, pandas), ("pandas", pandas), ("polars", polars)):
        frame = heard().to_frame(library=library)
        assert isinstance(frame, kind.DataFrame)
        assert list(frame["start_s"]) == [0.0, 1.5, 4.5, 5.5]
        assert list(frame["speech"]) == [False, True, True, False]
        assert frame["calm"][1] == pytest.approx(0.9)


def test_a_notebook_shows_a_recording() -> None:
    found = heard(preview=lambda _: b"PNG")
    assert "data:image/png;base64,UE5H" in found._repr_html_()
    assert "<td>1.50</td><td>4.50</td><td>yes</td><td>calm</td><td>0.90</td><td>no</td>" in found._repr_html_()
    assert "<img" not in heard()._repr_html_()
    # Where it cannot be drawn, such as without matplotlib, the table is there all the same.
    assert "<img" not in heard(preview=lambda _: None)._repr_html_()
    for again in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert again == found
        assert again.preview is None


def test_results_of_speech_are_frozen() -> None:
    for thing, name in ((heard(), "segments"), (heard().segments[0], "speech"), (heard().summary, "seconds")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, name, None)
