"""Results of fusion: they check themselves, and become plain data and back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mien.errors import InputError
from mien.labels import FER7, FERPLUS8
from mien.results import Emotion, FusedResult, FusedSegment

pd = pytest.importorskip("pandas")


def emotion(top: str, share: float = 0.7) -> Emotion:
    return Emotion(FER7, tuple(share if name == top else (1 - share) / 6 for name in FER7.emotions))


def result() -> FusedResult:
    happy, sad = emotion("happiness"), emotion("sadness", 0.4)
    return FusedResult(
        (
            FusedSegment(1.0, 3.0, {"face": happy, "voice": None}, happy, {"face": 1.0}, 1),
            FusedSegment(3.0, 4.0, {"face": happy, "voice": sad}, sad, {"face": 0.25, "voice": 0.75}, 1),
            FusedSegment(4.0, 8.0),
            FusedSegment(8.0, 8.5, {"face": None, "voice": sad}, sad, {"voice": 1.0}),
        ),
        "average",
        FER7,
        ("a note",),
        ("a warning",),
        "a.mp4",
    )


def test_times_and_means() -> None:
    fused = result()
    assert (fused.start_s, fused.end_s) == (1.0, 8.5)
    assert (fused.seconds_of("face"), fused.seconds_of("voice"), fused.both_s) == (3.0, 1.5, 1.0)
    assert fused.seconds == {"happiness": 2.0, "sadness": 1.5}
    expected = (2 * np.array(emotion("happiness").probabilities) + 1.5 * emotion("sadness", 0.4).to_array()) / 3.5
    assert fused.emotion is not None
    np.testing.assert_allclose(fused.emotion.to_array(), expected)
    face = fused.mean("face")
    assert face is not None
    assert face.top == "happiness"
    empty = FusedResult()
    assert (empty.emotion, empty.seconds, empty.start_s, empty.end_s) == (None, {}, 0.0, 0.0)
    with pytest.raises(InputError, match="side must be one of face, voice, fused, but got 'both'"):
        fused.mean("both")


@pytest.mark.parametrize(
    ("time_s", "place"), [(0.99, None), (1.0, 0), (2.999, 0), (3.0, 1), (7, 2), (8.4, 3), (8.5, None)]
)
def test_the_segment_at_a_time(time_s: float, place: int | None) -> None:
    fused = result()
    assert fused.at(time_s) == (None if place is None else fused.segments[place])


def test_to_data_and_back() -> None:
    fused = result()
    data = json.loads(json.dumps(fused.to_dict(), allow_nan=False))
    assert FusedResult.from_dict(data) == fused
    assert data["means"]["fused"]["top"] == "happiness"
    assert data["segments"][2]["fused"] is None


def test_rows_and_frame() -> None:
    *rows, last = result().rows()
    assert (last["path"], last["warnings"], last["segment"]) == ("a.mp4", "a warning", None)
    assert [row["segment"] for row in rows] == [1, 2, 3, 4]
    assert rows[1]["face"] == "happiness"
    assert rows[1]["voice"] == "sadness"
    assert rows[1]["emotion"] == "sadness"
    assert rows[1]["unsure"] is True
    assert rows[1]["sadness"] == pytest.approx(0.4)
    assert rows[2]["emotion"] is None
    assert list(rows[2]) == list(rows[1]) == list(FusedResult().rows()[0])
    table = result().to_frame(library="pandas")
    assert table["face_weight"].tolist()[:4] == [1.0, 0.25, 0.0, 0.0]
    assert "<table>" in result()._repr_html_()
    assert FusedResult()._repr_html_() == "<p>neither face nor voice</p>"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"start_s": 2.0, "end_s": 2.0}, "a segment must be 0 <= start_s < end_s, but got 2.0 to 2.0"),
        ({"start_s": float("nan"), "end_s": 2.0}, "a segment must be 0 <= start_s < end_s"),
        ({"weights": {"face": 0.5}}, "the weight of face must be 0 where there is none, but got 0.5"),
        ({"weights": {"voice": -1.0}}, "the weight of voice must be finite and not negative, but got -1.0"),
        ({"weights": {"text": 1.0}}, "there is a weight of text, but no emotion of it"),
        ({"fused": emotion("fear")}, "a segment has a fused emotion exactly where"),
        ({"emotions": {"face": None, "voice": emotion("fear")}}, "a segment has a fused emotion exactly where"),
        ({"track": 3}, "a segment has a track exactly where it has an emotion of the face"),
    ],
)
def test_wrong_segments_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        FusedSegment(**{"start_s": 0.0, "end_s": 1.0, **fields})  # type: ignore[arg-type]


def test_wrong_results_are_refused() -> None:
    with pytest.raises(
        InputError, match="segments must follow each other without gaps, but one ends at 1 s and the next"
    ):
        FusedResult((FusedSegment(0, 1), FusedSegment(1.5, 2)))
    with pytest.raises(InputError, match="all segments must be of face, voice, but one is of face, text"):
        FusedResult((FusedSegment(0, 1, {"face": None, "text": None}),))
    with pytest.raises(InputError, match="all emotions must be in ferplus8, but got one in fer7"):
        FusedResult(result().segments, "average", FERPLUS8)
