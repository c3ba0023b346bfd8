from __future__ import annotations

import csv
import json
import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

import mien
from face_tables import table_samples
from mien.data import Samples, load_dataset, load_images
from mien.data.fer2013 import read_fer2013
from mien.data.prepare.faces import Settings, Summary, prepare, prepare_to, rejected_path
from mien.data.prepare.work import Journal, journal_path
from mien.errors import DatasetError, InputError
from mien.face.prepare import FaceCut
from mien.io.image import read_image
from mien.output.write import encode_jpeg, encode_png, write_image
from mien.samples import astronaut_path
from processes import started

SIDE = 160
REASON = "1 found, but none whose two eyes can be told apart"


def face(seed: int) -> np.ndarray:
    """The astronaut's face on a canvas, a little different for each seed."""
    rng = np.random.default_rng(seed)
    portrait = read_image(astronaut_path()).pixels[40:200, 145:305]
    matrix = cv2.getRotationMatrix2D((80, 80), float(rng.uniform(-12, 12)), float(rng.uniform(0.9, 1.0)))
    return np.asarray(cv2.warpAffine(portrait, matrix, (SIDE, SIDE), borderValue=(90, 90, 90)), np.uint8)


def photographs(root: Path, count: int = 6) -> Path:
    """A tree with faces, an empty image and a file that is no image."""
    for i in range(count):
        folder = root / ("train" if i % 3 else "test") / ("happiness" if i % 2 else "sadness")
        folder.mkdir(parents=True, exist_ok=True)
        write_image(folder / f"p{i:03d}.png", face(i))
    write_image(root / "train" / "sadness" / "wall.png", np.full((90, 90, 3), 120, np.uint8))
    (root / "train" / "sadness" / "zz.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    return root


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return load_dataset("folder", photographs(tmp_path_factory.mktemp("photographs")))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_faces_come_as_the_public_call_cuts_them(images: Samples) -> None:
    found = dict(prepare(images))
    assert sorted(found) == list(range(len(images)))
    for i, file in enumerate(images.files):
        if "/p" in file:
            expected = mien.prepare_faces(images.where(i))
            assert len(expected) == 1
            assert np.array_equal(found[i].faces[0].pixels, expected[0].pixels)
    kinds = {images.files[i].rpartition("/")[2]: one.kind for i, one in found.items() if one.kind}
    assert kinds == {"wall.png": "no_face", "zz.jpg": "unreadable"}
    bad = next(one for one in found.values() if one.kind == "unreadable")
    assert "zz.jpg cannot be decoded as JPEG" in bad.reason


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_opened_is_rejected(tmp_path: Path) -> None:
    photos = photographs(tmp_path / "photos", 3)
    (photos / "test" / "sadness" / "p000.png").chmod(0)
    assert prepare_to(tmp_path / "out.csv", load_dataset("folder", photos)).rejected["unreadable"] == 2


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_has_the_faces_in_the_order_of_the_images(images: Samples, tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / f"faces{suffix}"
    summary = prepare_to(out, images)
    assert summary == Summary(8, 6, {"no_face": 1, "unreadable": 1}, 0, str(tmp_path / "faces.rejected.csv"))
    data = load_images("table", out)
    kept = [i for i, file in enumerate(images.files) if "/p" in file]
    assert data.images.shape == (6, 48, 48)
    words = [data.label_set.emotions[label] for label in data.labels]
    assert words == [images.files[i].split("/")[1] for i in kept]
    assert data.splits.tolist() == images.splits[kept].tolist()
    expected = np.stack([mien.prepare_faces(images.where(i))[0].pixels for i in kept])
    assert np.array_equal(data.images, expected)
    assert leftovers(tmp_path) == []
    listed = rows(tmp_path / "faces.rejected.csv")
    assert [(row["file"], row["kind"]) for row in listed] == [
        ("train/sadness/wall.png", "no_face"),
        ("train/sadness/zz.jpg", "unreadable"),
    ]
    assert (listed[0]["emotion"], listed[0]["split"], listed[0]["reason"]) == ("sadness", "train", "no face found")


def test_a_folder_is_read_back_with_its_manifest(images: Samples, tmp_path: Path) -> None:
    out = tmp_path / "faces"
    prepare_to(out, images, Settings(FaceCut(size=64, gray=False)))
    manifest = rows(out / "manifest.csv")
    assert tuple(manifest[0]) == ("file", "emotion", "subject", "clip", "split", "source", "box", "crop")
    assert len(manifest) == 6
    back = load_dataset("folder", out)
    assert back.problems == ()
    assert sorted(back.splits.tolist()) == ["test"] * 2 + ["train"] * 4
    for row in manifest:
        source = Path(images.source) / row["source"].removeprefix("folder:")
        box = [float(value) for value in row["box"].split()]
        (expected,) = mien.prepare_faces(source, size=64, gray=False)
        assert box == pytest.approx(expected.box, abs=0.06)
        assert np.array_equal(read_image(out / row["file"]).pixels, expected.pixels)
    assert len(rows(out / "rejected.csv")) == 2


def test_several_processes_give_the_same_result_as_one(tmp_path: Path) -> None:
    many = load_dataset("folder", photographs(tmp_path / "photos", 20))
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    assert prepare_to(one, many, workers=1).faces == prepare_to(two, many, workers=2).faces == 20
    assert one.read_bytes() == two.read_bytes()
    assert (tmp_path / "one.rejected.csv").read_bytes() == (tmp_path / "two.rejected.csv").read_bytes()


def test_all_faces_or_the_largest(tmp_path: Path) -> None:
    both = np.full((SIDE, 2 * SIDE, 3), 90, np.uint8)
    both[:, :SIDE] = face(1)
    both[:100, SIDE : SIDE + 100] = cv2.resize(face(2), (100, 100), interpolation=cv2.INTER_AREA)
    for emotion in ("fear", "anger"):
        (tmp_path / "photos" / emotion).mkdir(parents=True)
        write_image(tmp_path / "photos" / emotion / "both.png", both)
    images = load_dataset("folder", tmp_path / "photos")
    assert prepare_to(tmp_path / "largest.csv", images).faces == 2
    assert prepare_to(tmp_path / "all.csv", images, Settings(all_faces=True)).faces == 4
    boxes = [row["box"].split() for row in rows(tmp_path / "all.csv")]
    assert [float(box[0]) > SIDE for box in boxes] == [False, True, False, True]


def test_an_image_of_a_table_is_named_by_its_row(tmp_path: Path) -> None:
    images = np.stack([cv2.cvtColor(face(0), cv2.COLOR_RGB2GRAY), np.full((SIDE, SIDE), 9, np.uint8)])
    data = table_samples(
        images, np.array([3, -1]), name="crops", source="crops.csv", split=["Training", ""], rows=np.array([17, 18])
    )
    assert prepare_to(tmp_path / "out.csv", data).faces == 1
    assert rows(tmp_path / "out.csv")[0]["source"] == "crops:row 17"
    (rejected,) = rows(tmp_path / "out.rejected.csv")
    assert (rejected["file"], rejected["emotion"]) == ("row 18", "")


def test_profiles_are_a_kind_of_their_own(images: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.face.prepare.LEAST_EYES", 9.0)
    summary = prepare_to(tmp_path / "faces", images)
    assert (summary.faces, summary.rejected) == (0, {"profile": 6, "no_face": 1, "unreadable": 1})
    # Not one face: the list alone is written.
    assert [path.name for path in (tmp_path / "faces").iterdir()] == ["rejected.csv"]
    assert rows(tmp_path / "faces" / "rejected.csv")[0]["reason"] == REASON


# --- going on -------------------------------------------------------------------------------------


class StopError(Exception):
    pass


def stop_after(count: int) -> object:
    done = 0

    def progress(new: int) -> None:
        nonlocal done
        done += new
        if done >= count:
            raise StopError

    return progress


def test_an_interrupted_run_goes_on_where_it_stopped(
    images: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "faces.csv"
    with pytest.raises(StopError):
        prepare_to(out, images, progress=stop_after(3))
    assert not out.exists()
    assert leftovers(tmp_path) == [".faces.csv.mien-journal"]
    steps: list[int] = []
    summary = prepare_to(out, images, progress=steps.append)
    assert (summary.resumed, summary.faces, steps) == (3, 6, [3, 1, 1, 1, 1, 1])
    whole = tmp_path / "whole.csv"
    prepare_to(whole, images)
    assert out.read_bytes() == whole.read_bytes()
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("cut", [1, 40])
def test_a_line_that_was_cut_off_is_done_again(images: Samples, tmp_path: Path, cut: int) -> None:
    out = tmp_path / "faces.csv"
    with pytest.raises(StopError):
        prepare_to(out, images, progress=stop_after(3))
    journal = journal_path(out)
    journal.write_bytes(journal.read_bytes()[:-cut])
    assert prepare_to(out, images).resumed == 2
    assert len(rows(out)) == 6


def test_a_journal_cut_off_in_its_first_line_begins_anew(images: Samples, tmp_path: Path) -> None:
    out = tmp_path / "faces.csv"
    journal_path(out).write_bytes(b'{"mien": "prep')
    assert prepare_to(out, images).resumed == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cut": FaceCut(size=64)}, "other size"),
        ({"cut": FaceCut(x_factor=2.5, smooth=False)}, "other smooth, x_factor"),
        ({"detector": "haar"}, "other detector"),
        ({"all_faces": True}, "other all_faces"),
    ],
)
def test_a_journal_of_other_work_is_refused(
    images: Samples, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    out = tmp_path / "faces.csv"
    with pytest.raises(StopError):
        prepare_to(out, images, progress=stop_after(2))
    before = journal_path(out).read_bytes()
    with pytest.raises(DatasetError, match=rf"mien-journal is of a run with {said}: go on as it was begun"):
        prepare_to(out, images, Settings(**change))  # type: ignore[arg-type]
    assert journal_path(out).read_bytes() == before


def test_a_journal_of_other_images_is_refused(images: Samples, tmp_path: Path) -> None:
    out = tmp_path / "faces.csv"
    with pytest.raises(StopError):
        prepare_to(out, images, progress=stop_after(2))
    with pytest.raises(DatasetError, match="is of a run with other list"):
        prepare_to(out, images.take(np.arange(5)))


@pytest.mark.parametrize("line", [b"not json\n", b"[1]\n", b'{"kind": "no_face"}\n', b'{"i": "x"}\n', b"\xff\xfe\n"])
def test_a_damaged_journal_is_refused(images: Samples, tmp_path: Path, line: bytes) -> None:
    out = tmp_path / "faces.csv"
    with pytest.raises(StopError):
        prepare_to(out, images, progress=stop_after(2))
    with journal_path(out).open("ab") as file:
        file.write(line)
    with pytest.raises(DatasetError, match="mien-journal is damaged: delete it to begin anew"):
        prepare_to(out, images)


def test_two_runs_at_once_are_refused(images: Samples, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    out = tmp_path / "faces.csv"
    with pytest.raises(StopError):
        prepare_to(out, images, progress=stop_after(2))
    header = json.loads(journal_path(out).read_bytes().splitlines()[0])
    work = {key: value for key, value in header.items() if key not in ("mien", "format")}
    with (
        Journal(journal_path(out), work),
        pytest.raises(DatasetError, match=r"another run works on .*mien-journal right now"),
    ):
        prepare_to(out, images)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of file sizes")
def test_a_full_disk_is_one_error_and_keeps_what_was_done(images: Samples, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    out = tmp_path / "faces.csv"
    with pytest.raises(StopError):
        prepare_to(out, images, progress=stop_after(2))
    journal = journal_path(out)
    before = journal.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, hard))
    try:
        with pytest.raises(
            DatasetError, match=r"cannot write .*mien-journal: (File too large|No space left on device)"
        ):
            prepare_to(out, images)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert journal.read_bytes()[: len(before)] == before
    assert prepare_to(out, images).resumed == 2
    assert len(rows(out)) == 6


def test_what_is_no_journal_is_refused(images: Samples, tmp_path: Path) -> None:
    out = tmp_path / "faces.csv"
    journal_path(out).write_bytes(bytes(1 << 17))
    with pytest.raises(DatasetError, match="mien-journal is damaged: delete it to begin anew"):
        prepare_to(out, images)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no kill -9")
def test_a_process_that_dies_is_one_error_and_keeps_what_was_done(tmp_path: Path) -> None:
    images = load_dataset("folder", photographs(tmp_path / "photos", 60))
    out = tmp_path / "faces.csv"

    def kill(_: int) -> None:
        for child in multiprocessing.active_children():
            child.kill()

    calls = iter([lambda _: None, *[kill] * 1000])
    with pytest.raises(DatasetError, match=r"a process died at its work .* run the same command again to go on"):
        prepare_to(out, images, workers=2, progress=lambda count: next(calls)(count))
    summary = prepare_to(out, images)
    assert summary.resumed >= 1
    assert summary.faces == 60


# A parent that is killed must leave no workers behind.
RUN = """
import sys
from mien.data import load_dataset
from mien.data.prepare.faces import prepare_to

if __name__ == "__main__":
    def say(count):
        print(count, flush=True)
    prepare_to(sys.argv[2], load_dataset("folder", sys.argv[1]), workers=2, progress=say)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no kill -9")
def test_a_killed_run_leaves_no_process_and_goes_on(tmp_path: Path) -> None:
    photos = photographs(tmp_path / "photos", 60)
    script, out = tmp_path / "run.py", tmp_path / "faces.csv"
    script.write_text(RUN)
    words = [sys.executable, str(script), str(photos), str(out)]
    with started(words, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        for _ in range(10):
            assert process.stdout.readline().strip()
        process.send_signal(signal.SIGKILL)
    assert not out.exists()
    group = process.pid
    end = time.monotonic() + 30
    while time.monotonic() < end and alive(group):
        time.sleep(0.05)
    assert not alive(group)
    done = journal_path(out).read_bytes().count(b"\n") - 1
    assert done >= 9
    images = load_dataset("folder", photos)
    summary = prepare_to(out, images, workers=2)
    assert summary.resumed >= 9
    assert (summary.faces, summary.images) == (60, 62)
    whole = tmp_path / "whole.csv"
    prepare_to(whole, images)
    assert out.read_bytes() == whole.read_bytes()


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


# --- refusals -------------------------------------------------------------------------------------


def test_nothing_is_written_over(images: Samples, tmp_path: Path) -> None:
    out = tmp_path / "faces.csv"
    out.write_text("mine")
    with pytest.raises(DatasetError, match=r"will not write over .*faces\.csv"):
        prepare_to(out, images)
    assert out.read_text() == "mine"
    (tmp_path / "other.rejected.csv").write_text("mine")
    with pytest.raises(DatasetError, match=r"will not write over .*other\.rejected\.csv"):
        prepare_to(tmp_path / "other.csv", images)
    assert leftovers(tmp_path) == []


def test_wrong_arguments_are_named(images: Samples, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"written as \.csv, \.parquet or a folder"):
        prepare_to(tmp_path / "faces.txt", images)
    with pytest.raises(InputError, match="detector must be one of mtcnn, haar, yunet, but got 'dlib'"):
        Settings(detector="dlib")
    with pytest.raises(InputError, match="workers must be an integer from 1 to 256, but got 0"):
        list(prepare(images, workers=0))
    with pytest.raises(DatasetError, match="has no images"):
        prepare_to(tmp_path / "faces.csv", images.take(np.zeros(len(images), bool)))
    assert rejected_path(tmp_path / "x.parquet").name == "x.rejected.csv"


# --- hostile files ---------------------------------------------------------------------------------


def huge() -> bytes:
    """A PNG whose header speaks of 60,000 x 60,000 pixels."""
    whole = encode_png(np.zeros((4, 4, 3), np.uint8))
    header = whole[12:16] + struct.pack(">II", 60_000, 60_000) + whole[24:29]
    return whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:]


WHOLE = astronaut_path().read_bytes()
NOISE = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
HOSTILE = {
    "cut.jpg": (WHOLE[: len(WHOLE) * 2 // 3], "the file is truncated: a part of the image is missing"),
    "cut.png": (encode_png(NOISE)[:60_000], "the file is truncated: a part of the image is missing"),
    "empty.jpg": (b"", "is empty"),
    "video.jpg": (b"\x00\x00\x00\x18ftypmp42" + bytes(50), "is a video"),
    "huge.png": (huge(), "60000 x 60000 pixels, more than the limit"),
    "noise.jpg": (encode_jpeg(NOISE), "no face found"),
    "odd\nname.png": (b"text", "must be a JPEG, PNG"),
    "text.png": (b"emotion,pixels,Usage", "must be a JPEG, PNG"),
    "tiny.png": (encode_png(NOISE[:1, :1]), "no face found"),
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for emotion in ("fear", "joy"):
        (tmp_path / "photos" / "Training" / emotion).mkdir(parents=True)
        (tmp_path / "photos" / "Training" / emotion / "good.jpg").write_bytes(WHOLE)
    for name, (content, _) in HOSTILE.items():
        (tmp_path / "photos" / "Training" / "joy" / name).write_bytes(content)
    return tmp_path / "photos"


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_files_are_listed_with_their_reason_and_stop_nothing(photos: Path, tmp_path: Path, workers: int) -> None:
    steps: list[int] = []
    out = tmp_path / "faces"
    summary = prepare_to(out, load_dataset("folder", photos), workers=workers, progress=steps.append)
    assert (summary.faces, sum(summary.rejected.values()), sum(steps)) == (2, len(HOSTILE), len(HOSTILE) + 2)
    with (out / "rejected.csv").open(newline="", encoding="utf-8") as stream:
        listed = {Path(row["file"]).name: row for row in csv.DictReader(stream)}
    assert sorted(listed) == sorted(HOSTILE)
    for name, (_, reason) in HOSTILE.items():
        assert reason in listed[name]["reason"]
        assert listed[name]["reason"].isprintable()
        assert (listed[name]["emotion"], listed[name]["split"]) == ("happiness", "Training")
    assert len(load_images("folder", out)) == 2


def test_a_table_of_fer2013s_size_is_read_as_fer2013(photos: Path, tmp_path: Path) -> None:
    prepare_to(tmp_path / "faces.csv", load_dataset("folder", photos))
    data = read_fer2013(tmp_path / "faces.csv", split="Training")
    assert data.labels.tolist() == [2, 3]


def test_subjects_and_clips_come_back_from_the_folder(tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(WHOLE)
    (tmp_path / "two.jpg").write_bytes(WHOLE)
    rows = ["file,emotion,subject,clip,split", 'one.jpg,fear,"KA, 1",video,test', "two.jpg,anger,,,", ""]
    (tmp_path / "manifest.csv").write_text("\n".join(rows), "utf-8")
    prepare_to(tmp_path / "faces", load_dataset("folder", tmp_path))
    back = load_images("folder", tmp_path / "faces")
    assert list(zip(back.subjects.tolist(), back.clips.tolist(), back.splits.tolist(), strict=True)) == [
        ("KA, 1", "video", "test"),
        ("", "", ""),
    ]
    assert back.files.tolist() == ["test/fear/0000001.png", "anger/0000002.png"]


@pytest.mark.parametrize("size", [0, -3, float("nan"), "48"])
def test_the_smallest_face_is_a_size(size: object) -> None:
    with pytest.raises(InputError, match="min_face_px must be a number"):
        Settings(min_face_px=size)  # type: ignore[arg-type]
