"""What holds for every output format: it opens, writes what it fits, rejects the rest, and leaves no half a file."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mien
from mien.errors import InputError, MediaNotFoundError
from mien.labels import FER7, FERPLUS8, RAVDESS8
from mien.output import FORMATS, Context, Format, Writer, write_image, write_wav
from mien.output.registry import KINDS
from mien.results import FailedItem, ImageResult, Result, SpeechResult, SpeechSegment, VideoResult
from planted_video import planted_video
from planted_videos import write_video

TABLES = ("csv", "json", "jsonl", "parquet")
HOSTILE = ["two\nlines", "面 😀, 'x'", "raw\udcff", "-v", "\x1b[31m", "<b>&--><i>"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an image, an audio file and a video."""
    made = tmp_path_factory.mktemp("media")
    write_image(made / "a.png", np.full((80, 100, 3), 90, np.uint8))
    write_wav(made / "a.wav", np.zeros(6 * 16000, np.float32), 16000)
    gray = np.full((240, 320, 3), 90, np.uint8)
    write_video(made / "a.mp4", ((gray, Fraction(k, 5)) for k in range(12)), rate=5)
    return made


@pytest.fixture
def media(folder: Path, image: ImageResult, speech: SpeechResult, video: VideoResult) -> dict[str, Result]:
    """Return the results of these files, by kind."""
    return {
        "image": replace(image, path=str(folder / "a.png")),
        "audio": replace(speech, path=str(folder / "a.wav")),
        "video": replace(video, path=str(folder / "a.mp4")),
    }


def target_of(chosen: Format, folder: Path, name: str = "out") -> Any:
    if chosen.target == "stream":
        return io.StringIO(newline="")
    return folder / (name + (chosen.suffixes[0] if chosen.suffixes else ""))


def write_one(chosen: Format, result: Result, target: Any) -> None:
    labels = {"image": FERPLUS8, "audio": RAVDESS8, "video": FERPLUS8, "fused": FER7}
    if isinstance(target, Path):
        mien.write(result, target, format=chosen.name)
        return
    with chosen.open(target, Context(labels=labels)) as writer:
        writer.write(result)


def size_of(target: Any) -> int:
    if isinstance(target, io.StringIO):
        return len(target.getvalue())
    written = [target] if target.is_file() else [*target.parent.glob(f"{target.name}*"), *target.rglob("*")]
    return sum(path.stat().st_size for path in written if path.is_file())


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_describes_itself(name: str) -> None:
    chosen = FORMATS[name]
    assert chosen.name == name
    assert chosen.help.endswith(".")
    assert chosen.kinds
    assert set(chosen.kinds) <= {*KINDS, "fused"}
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in chosen.suffixes)
    assert chosen.flag is None or chosen.flag.startswith("--")
    assert (chosen.metavar is None) == (chosen.target == "stream")
    assert chosen.suffixes or chosen.target in ("stream", "folder")


def test_formats_with_one_flag_are_for_different_kinds() -> None:
    formats = [FORMATS[name] for name in FORMATS]
    for one in formats:
        for other in formats:
            if one is not other and one.flag == other.flag:
                assert not set(one.kinds) & set(other.kinds)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
def test_it_writes_what_it_fits_and_rejects_the_rest(
    tmp_path: Path, media: dict[str, Result], name: str, kind: str
) -> None:
    chosen = FORMATS[name]
    target = target_of(chosen, tmp_path)
    if kind in chosen.kinds:
        write_one(chosen, media[kind], target)
        assert size_of(target) > 0
    else:
        with pytest.raises(InputError), chosen.open(target) as writer:
            writer.write(media[kind])
        assert size_of(target) == 0
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".mien-")]


@pytest.mark.parametrize("name", FORMATS)
def test_any_name_can_be_written(tmp_path: Path, media: dict[str, Result], name: str) -> None:
    chosen = FORMATS[name]
    for hostile in HOSTILE:
        (tmp_path / hostile).mkdir()
        for kind in (kind for kind in chosen.kinds if kind in media):
            source = Path(str(media[kind].path))  # type: ignore[attr-defined]
            renamed = tmp_path / hostile / f"{hostile}{source.suffix}"
            renamed.write_bytes(source.read_bytes())
            target = target_of(chosen, tmp_path / hostile, f"out {hostile}")
            write_one(chosen, replace(media[kind], path=str(renamed)), target)  # type: ignore[type-var]
            assert size_of(target) > 0


EMPTY: dict[str, Callable[[str], Result]] = {
    "image": lambda path: ImageResult(100, 80, (), path, labels=FERPLUS8),
    "audio": lambda path: SpeechResult(6.0, (SpeechSegment(0.0, 6.0, False),), path),
    "video": lambda path: planted_video(path=path),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
def test_results_in_which_nothing_was_found_are_written(
    tmp_path: Path, media: dict[str, Result], name: str, kind: str
) -> None:
    chosen = FORMATS[name]
    if kind in chosen.kinds:
        path = str(media[kind].path)  # type: ignore[attr-defined]
        write_one(chosen, EMPTY[kind](path), target_of(chosen, tmp_path))


@pytest.mark.parametrize("name", FORMATS)
def test_failed_items_are_rows_or_rejected(tmp_path: Path, failed: FailedItem, name: str) -> None:
    chosen = FORMATS[name]
    target = target_of(chosen, tmp_path)
    if name == "console":
        write_one(chosen, failed, target)  # nothing to see where all failed
        assert size_of(target) == 0
    elif name in TABLES:
        write_one(chosen, failed, target)
        assert size_of(target) > 0
    else:
        with pytest.raises(InputError), chosen.open(target) as writer:
            writer.write(failed)
        assert size_of(target) == 0


@pytest.mark.parametrize("name", [name for name in FORMATS if FORMATS[name].suffixes])
def test_missing_folders_and_other_suffixes_are_named(tmp_path: Path, media: dict[str, Result], name: str) -> None:
    chosen = FORMATS[name]
    kind = chosen.kinds[0]
    with pytest.raises(MediaNotFoundError, match="no such folder to write to"):
        mien.write(media[kind], tmp_path / "no" / f"x{chosen.suffixes[0]}", format=name)
    if chosen.target != "stream":
        with pytest.raises(InputError, match="name"):
            mien.write(media[kind], tmp_path / "x.xyz", format=name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FORMATS)
def test_after_an_error_the_older_file_stays(tmp_path: Path, name: str) -> None:
    chosen = FORMATS[name]
    target = target_of(chosen, tmp_path)
    if not isinstance(target, Path) or chosen.target == "folder":
        return
    target.write_bytes(b"older")
    with pytest.raises(RuntimeError, match="stop"), chosen.open(target, Context(labels={"image": FERPLUS8})):
        raise RuntimeError("stop")
    assert target.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [target]


def test_formats_can_be_added() -> None:
    class Counter(Writer):
        def __init__(self, target: Any, context: Context) -> None:
            del context
            self._target = target

        def write(self, result: Result) -> None:
            self._target.write(f"{len(result.rows())}\n")

    formats = type(FORMATS)("format", {"csv": FORMATS["csv"]})
    formats.register("count", Format("count", Counter, "Count rows.", target="stream"))
    stream = io.StringIO()
    with formats["count"].open(stream) as writer:
        writer.write(FailedItem("a", "b", "c"))
    assert stream.getvalue() == "1\n"
    with pytest.raises(InputError, match=r"unknown format 'cvs': expected one of .*; did you mean 'csv'"):
        FORMATS["cvs"]
