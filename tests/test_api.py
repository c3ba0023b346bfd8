"""The short way, on a model whose answers are planted."""

from __future__ import annotations

import io
import json
import pickle
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mien
from mien.errors import (
    DecodeError,
    InputError,
    MediaNotFoundError,
    MienWarning,
    UnknownModelError,
    UnsupportedMediaError,
)
from mien.face.analyzer import FaceAnalyzer
from mien.results import FailedItem, ImageResult
from mien.samples import astronaut_path

MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(64)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(64)


@pytest.fixture(scope="module")
def analyzer(planted_model: Path) -> FaceAnalyzer:
    return FaceAnalyzer(planted_model, threads=1)


@pytest.fixture(scope="module")
def options(planted_model: Path) -> dict[str, Any]:
    return {"model": planted_model, "threads": 1}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small lossless image with one face."""
    path = tmp_path_factory.mktemp("images") / "small.png"
    with Image.open(astronaut_path()) as image:
        image.crop((120, 20, 320, 220)).save(path)
    return path


def bytes_of(array: np.ndarray, kind: str = "PNG", **more: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind, **more)
    return stream.getvalue()


def test_every_kind_of_source_gives_the_same_faces(small: Path, options: dict[str, Any]) -> None:
    expected = mien.analyze(small, **options)
    assert len(expected.faces) == 1
    assert expected.path == str(small)
    with Image.open(small) as image:
        pil = image.copy()
    sources = [str(small), small.read_bytes(), io.BytesIO(small.read_bytes()), np.asarray(pil), pil]
    for source in sources:
        found = mien.analyze(source, **options)
        assert found.faces == expected.faces
        assert found.path == (str(small) if isinstance(source, str) else None)
    with small.open("rb") as file:
        found = mien.analyze_image(file, **options)
    assert (found.faces, found.path) == (expected.faces, str(small))


def test_the_options_reach_the_analyzer(small: Path, options: dict[str, Any]) -> None:
    (face,) = mien.analyze(small, output="fer7", detector="haar", **options).faces
    assert face.emotion is not None
    assert face.emotion.labels.name == "fer7"
    assert face.landmarks is None
    assert mien.analyze(small, min_face_px=190, **options).faces == ()


def test_a_model_is_loaded_once(small: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    mien.analyze(small, **options)
    monkeypatch.setattr(FaceAnalyzer, "__init__", lambda self, *a, **k: pytest.fail("loaded again"))
    mien.analyze(small, **options)


@pytest.mark.parametrize(
    ("content", "message"),
    [(MP4, "must be an image, but it is a video"), (WAV, "must be an image, but it is an audio file")],
)
def test_videos_and_recordings_are_told_by_content(
    content: bytes, message: str, tmp_path: Path, options: dict[str, Any]
) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(content)
    for source in (content, path):
        with pytest.raises(UnsupportedMediaError, match=message):
            mien.analyze_image(source, **options)


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("no/such.jpg", MediaNotFoundError, "no such file: no/such.jpg"),
        (b"", DecodeError, "the image is empty"),
        (b"hello, this is text", UnsupportedMediaError, "begins with b'hello, this '"),
        (None, InputError, "an image must be a path, bytes"),
        (np.zeros((4, 4)), InputError, "image must be uint8"),
        (io.StringIO("text"), InputError, "must be opened in binary mode"),
    ],
)
def test_bad_sources_are_one_error_of_mien(
    source: object, kind: type[Exception], message: str, options: dict[str, Any]
) -> None:
    with pytest.raises(kind, match=message):
        mien.analyze(source, **options)


def test_the_size_limit_is_handed_on(small: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedMediaError, match="200 x 200 pixels, more than the limit of 39,999 pixels"):
        mien.analyze(small, max_pixels=39_999, **options)
    with pytest.raises(UnsupportedMediaError, match="more than the limit"):
        mien.read_image(small, max_pixels=39_999)


def test_an_unknown_model_is_named(small: Path) -> None:
    with pytest.raises(UnknownModelError, match="unknown model 'face-bass'"):
        mien.analyze(small, model="face-bass")


def test_each_warning_is_given_once(small: Path, options: dict[str, Any]) -> None:
    blue = mien.read_image(small)[..., ::-1]
    with pytest.warns(MienWarning) as caught:
        result = mien.analyze_image(blue, **options)
    assert [str(w.message) for w in caught] == list(result.warnings)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_read_image_returns_pixels_and_warns() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(mien.read_image(bytes_of(noise)), noise)
    cut = bytes_of(noise, "JPEG")[:-900]
    with pytest.warns(MienWarning, match="truncated") as caught:
        pixels = mien.read_image(cut)
    assert caught[0].filename == __file__
    assert pixels.shape == (64, 64, 3)


def test_a_notebook_shows_the_drawn_image(small: Path, options: dict[str, Any]) -> None:
    array = mien.read_image(small)
    for source in (small, small.read_bytes(), array):
        result = mien.analyze(source, **options)
        assert result.preview is not None
        drawn = mien.read_image(result.preview(result))
        np.testing.assert_array_equal(drawn, mien.draw(array, result))
        assert (drawn != array).any()
        assert "data:image/png;base64," in result._repr_html_()


def test_the_preview_of_a_large_image_is_small(options: dict[str, Any]) -> None:
    result = mien.analyze(np.full((40, 3000, 3), 90, np.uint8), **options)
    assert result.preview is not None
    png = result.preview(result)
    assert mien.read_image(png).shape == (14, 1000, 3)


def test_a_preview_of_a_file_keeps_no_pixels(small: Path, options: dict[str, Any]) -> None:
    result = mien.analyze(small, **options)
    assert result.preview is not None
    assert result.preview.source == str(small)
    assert pickle.loads(pickle.dumps(result)) == result
    json.dumps(result.to_dict())


# --- many -----------------------------------------------------------------------------------------


def make_images(n: int) -> list[np.ndarray]:
    """Return images of different sizes without a face, so that the order shows."""
    return [np.zeros((20 + i, 30, 3), np.uint8) for i in range(n)]


@pytest.mark.parametrize("workers", [1, 2])
def test_many_come_in_order_and_bad_ones_become_rows(
    small: Path, analyzer: FaceAnalyzer, workers: int, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"text")
    with bad.open("rb") as opened:
        sources = [*make_images(3), "no/such.jpg", small, bad, b"", 5, opened, *make_images(2)]
        found = list(mien.analyze_images(sources, analyzer=analyzer, workers=workers))
    assert [getattr(item, "height", None) for item in found] == [20, 21, 22, None, 200, *[None] * 4, 20, 21]
    failed = [item for item in found if isinstance(item, FailedItem)]
    assert [(item.path, item.error) for item in failed] == [
        ("no/such.jpg", "MediaNotFoundError"),
        (str(bad), "UnsupportedMediaError"),
        (None, "DecodeError"),
        (None, "InputError"),
        (str(bad), "UnsupportedMediaError"),
    ]
    assert failed[0].message == "no such file: no/such.jpg"
    assert isinstance(found[4], ImageResult)
    assert found[4].faces == analyzer.analyze(mien.read_image(small)).faces


def test_workers_do_not_change_the_answers(small: Path, analyzer: FaceAnalyzer) -> None:
    sources = [small, *make_images(2), small.read_bytes(), mien.read_image(small)[::-1]]
    one, two = (list(mien.analyze_images(sources, analyzer=analyzer, workers=n)) for n in (1, 2))
    assert one == two


def test_warnings_are_in_the_results_only(small: Path, analyzer: FaceAnalyzer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (found,) = mien.analyze_images([mien.read_image(small)[..., ::-1]], analyzer=analyzer)
    assert isinstance(found, ImageResult)
    assert "BGR" in found.warnings[0]


@pytest.mark.parametrize("workers", [1, 3])
def test_sources_are_read_as_they_are_needed(analyzer: FaceAnalyzer, workers: int) -> None:
    taken = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield np.zeros((20, 20, 3), np.uint8)

    results = mien.analyze_images(endless(), analyzer=analyzer, workers=workers)
    assert taken == 0
    for done in range(1, 9):
        next(results)
        assert taken <= done + 3 * workers
    results.close()


def test_closing_early_stops_the_pool(analyzer: FaceAnalyzer) -> None:
    before = {t for t in threading.enumerate() if t.name.startswith("mien")}
    started = []

    def on_image(source: object, pixels: np.ndarray, result: ImageResult) -> None:
        started.append(source)
        time.sleep(0.02)

    results = mien.analyze_images(make_images(50), analyzer=analyzer, workers=2, on_image=on_image)
    next(results)
    results.close()  # type: ignore[attr-defined]
    count = len(started)
    assert count <= 5
    time.sleep(0.1)
    assert len(started) == count
    assert {t for t in threading.enumerate() if t.name.startswith("mien")} <= before


def test_seen_gets_pixels_and_its_error_becomes_the_row(analyzer: FaceAnalyzer) -> None:
    def on_image(source: np.ndarray, pixels: np.ndarray, result: ImageResult) -> None:
        np.testing.assert_array_equal(source, pixels)
        if result.height == 21:
            raise InputError("not this one")

    found = list(mien.analyze_images(make_images(3), analyzer=analyzer, workers=2, on_image=on_image))
    assert found[1] == FailedItem(None, "InputError", "not this one")
    assert [isinstance(item, ImageResult) for item in found] == [True, False, True]


def test_an_error_of_the_source_itself_is_not_hidden(analyzer: FaceAnalyzer) -> None:
    def broken() -> Iterator[np.ndarray]:
        yield from make_images(1)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(mien.analyze_images(broken(), analyzer=analyzer, workers=1))


@pytest.mark.parametrize("one", ["team.jpg", Path("team.jpg"), b"\xff\xd8\xff"])
def test_one_image_for_many_is_a_mistake(one: Any, analyzer: FaceAnalyzer) -> None:
    with pytest.raises(InputError, match=r"sources must be several images, but got one \(.*\): pass \[source\]"):
        list(mien.analyze_images(one, analyzer=analyzer))


def test_workers_is_a_whole_number(analyzer: FaceAnalyzer) -> None:
    with pytest.raises(InputError, match="workers must be an integer of at least 1, but got 0"):
        list(mien.analyze_images([], analyzer=analyzer, workers=0))


def test_an_analyzer_of_ones_own_reads_one_image(planted_model: Path) -> None:
    """As it does many."""
    analyzer = mien.FaceAnalyzer(planted_model, detector="none")
    image = np.zeros((60, 50, 3), np.uint8)
    assert mien.analyze_image(image, analyzer=analyzer) == analyzer.analyze(image)
    assert mien.analyze_image(image).model == "face-base"


@pytest.mark.parametrize(
    ("read", "options", "told"),
    [
        (mien.analyze_image, {"flip": True, "max_pixels": 1}, "flip"),
        (lambda *a, **k: next(mien.analyze_images(a, **k)), {"model": "face-base", "threads": 1}, "model, threads"),
        (mien.analyze_speech, {"channel": "each", "from_s": 1.0, "window_s": 2.0}, "channel, window_s"),
        (lambda *a, **k: next(mien.iter_speech(*a, **k)), {"model": "speech-base"}, "model"),
        (lambda *a, **k: next(mien.analyze_audio(a, **k)), {"output": "fer7"}, "output"),
        (mien.analyze_video, {"max_faces": 1, "step_s": 1.0, "window_s": 2.0}, "max_faces"),
        (lambda *a, **k: next(mien.iter_video(*a, **k)), {"smooth_s": 0.0, "fps": 2.0}, "smooth_s"),
    ],
)
def test_options_that_an_analyzer_of_ones_own_has_are_refused_beside_it(
    read: Any, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=f"^{told}: not with analyzer=, which has its own$"):
        read(b"", analyzer=object(), **options)
