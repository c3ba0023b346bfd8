"""``mien analyze`` on a model whose answers are planted, in this process and as a real one."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import mien
from mien.cli import main
from mien.labels import FER7, FERPLUS8
from mien.output import FORMATS, Context, Format, Writer, heat
from mien.output.draw import draw
from mien.samples import astronaut_path
from processes import started

NOT_NAMED = "not named as an image, video or audio file, or a linked folder"


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a small PNG with one face."""
    with Image.open(astronaut_path()) as image:
        stream = io.BytesIO()
        image.crop((120, 20, 320, 220)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def model(planted_model: Path) -> Path:
    return planted_model


def run(model: Path, *arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["analyze", "--model", str(model), *map(str, arguments)], input=stdin)


def real(model: Path, *arguments: str | bytes, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "mien", "analyze", "--model", str(model), "--threads", "1", *arguments]
    return subprocess.run(command, capture_output=True, timeout=300, check=False, **options)


def plain(width: int = 30, height: int = 20, kind: str = "PNG") -> bytes:
    """Return an image without a face."""
    stream = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 90)).save(stream, kind)
    return stream.getvalue()


def huge_png() -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


def one_line(done: Result) -> str:
    (line,) = done.stderr.splitlines()
    assert line.startswith("mien: ")
    assert line.isprintable()
    return line.removeprefix("mien: ")


# --- one image ----------------------------------------------------------------------------------


def test_a_table_for_people(here: Path, model: Path, face: bytes) -> None:
    Path("team.png").write_bytes(face)
    done = run(model, "team.png")
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    (row,) = (line for line in done.stdout.splitlines() if "team.png" in line)
    (found,) = mien.analyze("team.png", model=model).faces
    assert found.emotion is not None
    assert found.emotion.top in row
    assert f"{100 * found.emotion.confidence:.0f}%" in row


def test_json_is_one_document_for_one_image(here: Path, model: Path, face: bytes) -> None:
    Path("team.png").write_bytes(face)
    done = run(model, "team.png", "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    assert json.loads(done.stdout) == mien.analyze("team.png", model=model).to_dict()


def test_standard_input(here: Path, model: Path, face: bytes) -> None:
    done = run(model, "-", "--json", stdin=face)
    assert (done.exit_code, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["path"], len(found["faces"])) == (None, 1)
    done = run(model, "-", "--out", "drawn", "--save-faces", "faces", stdin=face)
    assert done.exit_code == 0, done.output
    assert [p.name for p in Path("drawn").iterdir()] == ["stdin.png"]
    assert [p.name for p in Path("faces").iterdir()] == ["stdin.png_face1.png"]
    assert (
        one_line(run(model, "-", stdin=b""))
        == "the image is empty: expected a JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF or HEIC image"
    )


def test_csv_is_one_row_a_face(here: Path, model: Path, face: bytes) -> None:
    Path("team.png").write_bytes(face)
    Path("empty.png").write_bytes(plain())
    done = run(model, "team.png", "empty.png", "--csv")
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["path"], row["face"]) for row in rows] == [("team.png", "1"), ("empty.png", "")]
    assert sum(float(rows[0][name]) for name in FERPLUS8.emotions) == pytest.approx(1, abs=1e-4)


def test_labels_as_detector_and_smallest_face(here: Path, model: Path, face: bytes) -> None:
    Path("team.png").write_bytes(face)
    (found,) = json.loads(run(model, "team.png", "--json", "--labels-as", "fer7", "--detector", "haar").stdout)["faces"]
    assert set(found["emotion"]["probabilities"]) == set(FER7.emotions)
    assert found["landmarks"] is None
    assert json.loads(run(model, "team.png", "--json", "--min-face", "190").stdout)["faces"] == []


class Names(Writer):
    """A format of another package."""

    def __init__(self, stream: IO[str], context: Context) -> None:
        self.stream = stream

    def write(self, result: Any) -> None:
        self.stream.write(f"{result.path}: {len(result.faces)}\n")


def test_formats_of_other_packages_are_options(here: Path, model: Path, face: bytes) -> None:
    Path("team.png").write_bytes(face)
    assert run(model, "team.png", "--names").exit_code == 2
    FORMATS.register("names", Format("names", Names, "A line an image.", kinds=("image",), target="stream"))
    try:
        assert run(model, "team.png", "--names").stdout == "team.png: 1\n"
        assert "choose one of" in run(model, "team.png", "--names", "--json").stderr
        assert "A line an image." in run(model, "--help").stdout
    finally:
        FORMATS.unregister("names")


# --- many -----------------------------------------------------------------------------------------


def fill(folder: Path, face: bytes) -> None:
    (folder / "a" / "deep").mkdir(parents=True)
    (folder / "b").mkdir()
    (folder / "a" / "one.png").write_bytes(face)
    (folder / "a" / "deep" / "two.jpg").write_bytes(plain(kind="JPEG"))
    (folder / "a" / "notes.txt").write_text("no image")
    (folder / "b" / "one.png").write_bytes(plain(40))
    (folder / "b" / "three.gif").write_bytes(plain(kind="GIF"))


def test_folders_and_patterns_as_json_lines(here: Path, model: Path, face: bytes) -> None:
    fill(here, face)
    done = run(model, "a", "b/*.gif", "--json")
    assert done.exit_code == 0, done.output
    items = [json.loads(line) for line in done.stdout.splitlines()]
    names = [str(Path(name)) for name in ("a/deep/two.jpg", "a/one.png", "b/three.gif")]
    assert [item["path"] for item in items] == names
    assert [len(item["faces"]) for item in items] == [0, 1, 0]
    skipped, counts = done.stderr.splitlines()
    assert skipped == f"mien: 1 skipped ({NOT_NAMED}): {Path('a/notes.txt')}"
    assert counts.startswith("mien: 3 images, 1 face, 0 failed, ")


@pytest.mark.parametrize("how", ["--json", "--csv", None])
def test_a_bad_image_becomes_a_row_and_exit_code_3(here: Path, model: Path, face: bytes, how: str | None) -> None:
    fill(here, face)
    Path("a/bad.jpg").write_text("text")
    done = run(model, "a", *([how] if how else []))
    assert done.exit_code == 3
    message = "a/bad.jpg must be a JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF or HEIC image, but it is something else"
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"mien: {message}")
    assert lines[1] == f"mien: 1 skipped ({NOT_NAMED}): {Path('a/notes.txt')}"
    assert lines[2].startswith("mien: 2 images, 1 face, 1 failed, ")
    if how == "--json":
        (failed,) = (item for item in map(json.loads, done.stdout.splitlines()) if "error" in item)
        assert (failed["path"], failed["error"]) == ("a/bad.jpg", "UnsupportedMediaError")
    elif how == "--csv":
        (failed,) = (row for row in csv.DictReader(io.StringIO(done.stdout)) if row["error"])
        assert failed["message"].startswith(message)
    else:
        assert sum("bad.jpg" in line and "error" in line for line in done.stdout.splitlines()) == 1


def test_nothing_done_at_all_is_exit_code_1(here: Path, model: Path) -> None:
    Path("one.jpg").write_text("text")
    Path("two.jpg").write_bytes(b"")
    done = run(model, "one.jpg", "two.jpg", "no.jpg")
    assert done.exit_code == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert [line.split()[1] for line in lines[:2]] == ["one.jpg", "two.jpg"]
    assert lines[2:] == ["mien: no such file or folder: no.jpg", lines[3]]
    assert lines[3].startswith("mien: 0 images, 0 faces, 3 failed")


def truncated(face: bytes) -> bytes:
    stream = io.BytesIO()
    with Image.open(io.BytesIO(face)) as image:
        image.save(stream, "JPEG")
    return stream.getvalue()[:200]  # not even the whole header


BAD = {
    "text.jpg": (b"this is no image", "text.jpg must be a JPEG, PNG"),
    "empty.jpg": (b"", "empty.jpg is empty"),
    "huge.png": (huge_png(), "huge.png has 60000 x 60000 pixels, more than the limit of 200,000,000 pixels"),
    "cut.jpg": (None, "cut.jpg cannot be decoded as JPEG"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_image_is_one_line(here: Path, model: Path, face: bytes, name: str) -> None:
    content, message = BAD[name]
    Path(name).write_bytes(truncated(face) if content is None else content)
    done = run(model, name)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert one_line(done).lower().startswith(message.lower())
    as_json = json.loads(run(model, name, "--json").stdout)
    assert set(as_json) == {"path", "error", "message"}
    assert as_json["path"] == name


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("no.jpg", "no such file or folder: no.jpg"),
        ("folder", "no image, video or audio file in the folder folder: expected files that end in "),
        ("*.webp", "nothing matches the pattern *.webp"),
        ("x" * 300 + ".jpg", "no such file or folder: xxx"),
        ("", "no such file or folder: ''"),
    ],
)
def test_what_names_nothing_is_one_line(here: Path, model: Path, argument: str, message: str) -> None:
    Path("folder").mkdir()
    done = run(model, argument)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert one_line(done).startswith(message)
    failed = json.loads(run(model, argument, "--json").stdout)
    assert (failed["path"], failed["error"]) == (argument, "MediaNotFoundError")


def test_half_a_jpeg_is_read_with_a_warning(here: Path, model: Path) -> None:
    Path("half.jpg").write_bytes(astronaut_path().read_bytes()[:60_000])
    done = run(model, "half.jpg", "--json")
    assert done.exit_code == 0
    assert "truncated" in one_line(done)
    assert one_line(done).startswith("warning: half.jpg: ")
    assert "truncated" in json.loads(done.stdout)["warnings"][0]


def test_a_blue_image_is_warned_about_once(here: Path, model: Path, face: bytes) -> None:
    with Image.open(io.BytesIO(face)) as image:
        Image.merge("RGB", image.convert("RGB").split()[::-1]).save("blue.png")
    assert one_line(run(model, "blue.png")).startswith("warning: blue.png: the skin is bluer than it is red")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'PATH...'"),
        (("a.jpg", "--json", "--csv"), "choose one of --json, --jsonl and --csv"),
        (("a.jpg", "--threads", "0"), "0 is not in the range"),
        (("a.jpg", "--max-pixels", "0"), "0 is not in the range"),
        (("a.jpg", "--min-face", "x"), "'x' is not a valid float"),
        (("a.jpg", "--dance"), "No such option"),
        (
            ("a.jpg", "--model", "mtcnn"),
            "model 'mtcnn' is for face-detection: reading images needs one for face-emotion",
        ),
        (("a.jpg", "--out", "new.mp4"), "--out new.mp4: expected a file that ends in .png"),
        (("a.jpg", "--out", "taken"), "--out taken: expected a file that ends in .png, .jpg, .jpeg, .webp, .bmp, .tif"),
        (("a.jpg", "--save-faces", "taken"), "--save-faces taken: expected a folder"),
        (("a.jpg", "--save-faces", "new.png"), "--save-faces new.png: expected a folder"),
        (("a.jpg", "b.jpg", "--out", "new.png"), "--out new.png is one file, but there are several to read"),
        (("a.jpg", "--model", "face-base"), "two models for face-emotion: 'planted' and 'face-base'"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    here: Path, face: bytes, model: Path, arguments: tuple[str, ...], message: str
) -> None:
    for name in ("a.jpg", "b.jpg", "taken"):
        Path(name).write_bytes(face)
    done = run(model, *arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
    assert sorted(path.name for path in here.iterdir()) == ["a.jpg", "b.jpg", "taken"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "face-bass"), "unknown model 'face-bass'"),
        (("--labels-as", "fer9"), "model 'planted' has no output 'fer9'"),
        (("--detector", "eyes"), "unknown detector 'eyes'"),
        (("--min-face", "0"), "min_face_px must be a number of at least 1"),
        (("--device", "tpu"), "device must be 'cpu', 'cuda'"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    here: Path, model: Path, face: bytes, arguments: tuple[str, ...], message: str
) -> None:
    Path("team.png").write_bytes(face)
    done = run(model, "team.png", *arguments)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert message in one_line(done)


# --- files ----------------------------------------------------------------------------------------


def names_under(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def test_drawn_images_keep_folders_and_names(here: Path, model: Path, face: bytes) -> None:
    fill(here, face)
    done = run(model, "a", "b", "--out", "drawn", "--save-faces", "faces")
    assert done.exit_code == 0, done.output
    # b/one.png would lie upon a/one.png; a GIF is not written.
    assert names_under("drawn") == ["deep/two.jpg", "one.png", "one_2.png", "three.gif.png"]
    assert names_under("faces") == ["one.png_face1.png"]
    assert mien.read_image("drawn/one.png").shape == (200, 200, 3)
    assert mien.read_image("drawn/one_2.png").shape == (20, 40, 3)
    plain_image, drawn = mien.read_image("a/one.png"), mien.read_image("drawn/one.png")
    assert (plain_image != drawn).any()
    np.testing.assert_array_equal(drawn, mien.draw(plain_image, mien.analyze("a/one.png", model=model)))


def test_one_image_is_drawn_to_a_file(here: Path, model: Path, face: bytes) -> None:
    Path("one.png").write_bytes(face)
    for name in ("new.png", "old.jpg"):
        Path("old.jpg").write_bytes(b"")
        assert run(model, "one.png", "--out", name).exit_code == 0
        assert mien.read_image(name).shape == (200, 200, 3)
    done = run(model, "one.png", "--out", "one.png")
    assert (done.exit_code, Path("one.png").read_bytes()) == (1, face)
    assert "will not write over an image to be read: one.png" in one_line(done)


def test_home_is_expanded_and_urls_are_not_fetched(
    here: Path, model: Path, face: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.setenv("USERPROFILE", str(here))
    Path("one.png").write_bytes(face)
    Path("~two.png").write_bytes(face)
    done = run(model, "~/one.png", "~two.png", "https://example.org/a?b=[1].png", "data:" + "A" * 5000, "--jsonl")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["path"] for row in rows[:2]] == [str(here / "one.png"), "~two.png"]
    assert [len(row["faces"]) for row in rows[:2]] == [1, 1]
    assert rows[2]["message"].endswith("https://example.org/a?b=[1].png (URLs are not fetched)")
    assert rows[3]["message"].endswith("AAA (URLs are not fetched)")
    assert max(map(len, done.stderr.splitlines())) < 300
    assert run(model, "~/one.png", "--out=~/drawn.png", "--save-faces=~/faces").exit_code == 0
    assert Path("drawn.png").is_file()
    assert Path("faces").is_dir()
    assert mien.analyze("~/one.png", model=model).path == mien.analyze_image("~/one.png", model=model).path
    with pytest.raises(mien.MediaNotFoundError, match="URLs are not fetched"):
        mien.analyze_video("data:video/mp4;base64," + "A" * 100_000)


def test_ready_crops_need_no_detector(here: Path, model: Path) -> None:
    crop = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    Image.fromarray(crop).save("crop.png")
    assert json.loads(run(model, "crop.png", "--json").stdout)["faces"] == []
    (face,) = json.loads(run(model, "crop.png", "--json", "--detector", "none").stdout)["faces"]
    assert face["box"] == [0, 0, 48, 48]
    assert face == mien.analyze_image(crop, model=model, detector="none").faces[0].to_dict()


def test_a_saved_face_is_a_part_of_the_image(here: Path, model: Path, face: bytes) -> None:
    Path("one.png").write_bytes(face)
    run(model, "one.png", "--save-faces", "faces")
    image, saved = mien.read_image("one.png"), mien.read_image("faces/one.png_face1.png")
    (box,) = (f.box for f in mien.analyze("one.png", model=model).faces)
    windows = np.lib.stride_tricks.sliding_window_view(image, saved.shape)[:, :, 0]
    ((top, left),) = np.argwhere((windows == saved).all(axis=(2, 3, 4)))
    assert left <= box[0]
    assert top <= box[1]
    assert left + saved.shape[1] >= min(box[2], 200)
    assert top + saved.shape[0] >= min(box[3], 200)


def test_names_that_meet_only_as_png_are_kept_apart(here: Path, model: Path) -> None:
    Path("a").mkdir()
    Path("a/x.gif").write_bytes(plain(33, kind="GIF"))
    Path("a/x.gif.png").write_bytes(plain(44))
    assert run(model, "a", "--out", "drawn").exit_code == 0
    assert names_under("drawn") == ["x.gif.png", "x.gif_2.png"]
    assert [mien.read_image(f"drawn/{name}").shape[1] for name in names_under("drawn")] == [33, 44]


def test_an_image_named_twice_is_written_twice(here: Path, model: Path, face: bytes) -> None:
    Path("one.png").write_bytes(face)
    done = run(model, "one.png", "one.png", "*.png", "--out", "drawn")
    assert done.exit_code == 0, done.output
    assert names_under("drawn") == ["one.png", "one_2.png", "one_3.png"]


def test_no_image_to_be_read_is_written_over(here: Path, model: Path, face: bytes) -> None:
    fill(here, face)
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    done = run(model, "a/one.png", "--out", "a")
    assert done.exit_code == 1
    assert one_line(done) == "will not write over an image to be read: a/one.png: choose another folder"
    # Another image of that name would be lost too, though it is still to be read.
    assert run(model, "a/one.png", "b/one.png", "--out", "b").exit_code == 3
    assert run(model, "a/one.png", "b", "--out", "b").exit_code == 3
    for path, content in before.items():
        assert path.read_bytes() == content


def test_an_older_result_is_replaced(here: Path, model: Path, face: bytes) -> None:
    Path("one.png").write_bytes(face)
    Path("drawn").mkdir()
    Path("drawn/one.png").write_bytes(b"old")
    assert run(model, "one.png", "--out", "drawn").exit_code == 0
    assert mien.read_image("drawn/one.png").shape == (200, 200, 3)


def test_a_place_that_cannot_be_written_is_a_row(here: Path, model: Path, face: bytes) -> None:
    fill(here, face)
    Path("drawn").mkdir()
    Path("drawn/deep").write_text("a file where a folder should be")
    done = run(model, "a", "--out", "drawn", "--json")
    assert done.exit_code == 3
    (failed,) = (item for item in map(json.loads, done.stdout.splitlines()) if "error" in item)
    assert failed["path"] == "a/deep/two.jpg"
    assert failed["message"].startswith("cannot make the folder drawn/deep: ")


# --- maps over faces ------------------------------------------------------------------------------


@pytest.fixture
def portrait(here: Path, face: bytes) -> Path:
    """Work in a folder with one image."""
    Path("team.png").write_bytes(face)
    return here


def shipped(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["analyze", *map(str, arguments)])


def test_a_map_is_laid_over_each_face(portrait: Path) -> None:
    done = shipped("team.png", "--explain", "--out", "drawn", "--json")
    assert done.exit_code == 0, done.output
    assert done.stderr == "mien: explained by class activation maps\n"
    analyzer = mien.FaceAnalyzer()
    image = mien.read_image("team.png")
    result = analyzer.analyze(image)
    with Image.open("drawn/team.png") as file:
        drawn = np.asarray(file)
    np.testing.assert_array_equal(drawn, draw(heat(image, analyzer.explain(image, result.faces)), result))
    assert (drawn != draw(image, result)).any()
    assert shipped("team.png", "--json").stdout == done.stdout  # the answers stay what they are


def test_a_model_without_heads_is_explained_by_hiding(portrait: Path, planted_model: Path) -> None:
    done = shipped("team.png", "--model", planted_model, "--explain", "--out", "drawn")
    assert done.exit_code == 0, done.output
    assert "explained by hiding parts of the face" in done.stderr
    assert Path("drawn/team.png").is_file()


def test_the_method_implies_the_maps(portrait: Path) -> None:
    assert shipped("team.png", "--explain-by", "occlusion", "--out", "hidden").exit_code == 0
    assert shipped("team.png", "--explain", "--out", "cam").exit_code == 0
    assert Path("hidden/team.png").read_bytes() != Path("cam/team.png").read_bytes()


def test_explaining_what_cannot_be_explained(portrait: Path, planted_model: Path) -> None:
    done = shipped("team.png", "--explain")
    assert done.exit_code == 2
    assert "--explain draws on the images: say with --out where they go" in done.stderr
    done = shipped("team.png", "--explain-by", "lime", "--out", "drawn")
    assert done.exit_code == 2
    assert "'lime' is not one of 'cam', 'occlusion'" in done.stderr
    done = shipped("team.png", "--model", planted_model, "--explain-by", "cam", "--out", "drawn")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "'planted' has no heads file, because its heads are not linear" in done.stderr


def test_an_image_without_a_face_stays_as_it_is(portrait: Path) -> None:
    Image.new("RGB", (80, 60), (90, 120, 90)).save("lawn.png")
    assert shipped("lawn.png", "--explain", "--out", "drawn").exit_code == 0
    with Image.open("drawn/lawn.png") as image:
        assert image.getcolors() == [(4800, (90, 120, 90))]


# --- hostile names --------------------------------------------------------------------------------

NAMES = ["two\nlines.png", "-dash.png", "Grüße 日本 🙂.png", "tab\tand \x1b[31mcolour.png", "[b].png", "'\"$(x).png"]


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_pass_through(here: Path, model: Path, name: str) -> None:
    Path(name).write_bytes(plain())
    done = run(model, "--json", "--out", "drawn", "--", name)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["path"] == name
    assert done.stderr == ""
    assert names_under("drawn") == [name]
    table = run(model, "--", name).stdout
    assert "\x1b" not in table
    assert "lines.png" not in table or "two\\nlines.png" in table
    (row,) = csv.DictReader(io.StringIO(run(model, "--csv", "--", name).stdout))
    assert row["path"] == ("./-dash.png" if name == "-dash.png" else name)  # not a formula


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_of_bad_images_are_one_line(here: Path, model: Path, name: str) -> None:
    Path(name).write_text("text")
    done = run(model, "--", name)
    assert done.exit_code == 1
    assert "must be a JPEG, PNG" in one_line(done)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are no text")
def test_a_name_that_is_no_text_in_a_real_process(here: Path, model: Path, face: bytes) -> None:
    name = b"caf\xe9.png"
    Path(os.fsdecode(name)).write_bytes(face)
    done = real(model, "--json", "--out", "drawn", name)
    assert (done.returncode, done.stderr) == (0, b"")
    assert os.fsencode(json.loads(done.stdout)["path"]) == name
    assert [os.fsencode(path.name) for path in Path("drawn").iterdir()] == [name]
    bad = b"bad\xff.jpg"
    Path(os.fsdecode(bad)).write_text("text")
    done = real(model, name, bad, env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 3
    assert b"Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert b"caf\\udce9.png" in done.stdout


def test_a_real_process_reads_standard_input(here: Path, model: Path, face: bytes) -> None:
    done = real(model, "-", "--csv", input=face)
    assert (done.returncode, done.stderr) == (0, b"")
    (row,) = csv.DictReader(io.StringIO(done.stdout.decode()))
    assert (row["path"], row["face"]) == ("", "1")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
@pytest.mark.parametrize(
    ("sign", "code", "told"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_ctrl_c_and_sigterm_keep_what_was_done(here: Path, model: Path, sign: int, code: int, told: str) -> None:
    Path("many").mkdir()
    shutil.copy(astronaut_path(), "many/0000.jpg")
    # So many that a slow machine cannot be done with them before the signal comes.
    for number in range(1, 3000):
        os.link("many/0000.jpg", f"many/{number:04d}.jpg")
    command = [sys.executable, "-m", "mien", "analyze", "--model", str(model), "--threads", "1", "--json", "many"]
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(sign)
        rest, errors = process.communicate(timeout=120)
    assert process.returncode == code
    done = [json.loads(line) for line in (first + rest).splitlines()]
    assert 1 <= len(done) < 3000
    assert [item["path"] for item in done] == [str(Path(f"many/{n:04d}.jpg")) for n in range(len(done))]
    assert all(len(item["faces"]) == 1 for item in done)
    assert b"Traceback" not in errors
    assert errors.decode().splitlines()[-1] == f"mien: {told}"


def test_ctrl_c_still_shows_the_table(here: Path, model: Path, face: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(here, face)
    taken = []
    analyze = mien.FaceAnalyzer.analyze

    def interrupted(self: mien.FaceAnalyzer, image: np.ndarray, **options: Any) -> mien.ImageResult:
        taken.append(image)
        if len(taken) == 3:
            time.sleep(0.2)
            raise KeyboardInterrupt
        return analyze(self, image, **options)

    monkeypatch.setattr(mien.FaceAnalyzer, "analyze", interrupted)
    done = run(model, "a", "b", "--threads", "1")
    assert done.exit_code == 130
    assert "one.png" in done.stdout
    assert done.stderr.splitlines()[-1] == "mien: interrupted"
