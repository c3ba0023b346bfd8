"""What every registered data set must do, on a tiny copy of its published layout.

A data set that is registered and has no builder here fails: see `BUILDERS`.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien import data as datasets
from mien.data import DATASETS, FaceData, ImageList
from mien.errors import DatasetError, InputError, MienWarning

HOSTILE = ["two words", "gesicht_\u00fc_\u9854", "-dash", "line\nbreak", "quote's \"", "%s{0}", "x" * 200]


JUNK = {
    "half a code": b"\xff\xfe\x00",
    "zero bytes": b"\0" * 100,
    "half an archive": b"PK\x03\x04junk",
    "line breaks": b"\n" * 50,
    "other columns": b"a,b\n1,2\n",
    "a number": b"9\n",
}


@dataclass
class Built:
    """A tiny data set: where it lies, what a loader should find, and which files of it to damage."""

    path: Path
    emotions: list[str]
    images: list[Path] = field(default_factory=list)
    texts: list[Path] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)


def image(path: Path, seed: int = 0, size: tuple[int, int] = (60, 50)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, size[::-1], dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, "utf-8")
    return path


def fer2013_rows(
    path: Path, header: tuple[str, ...] = ("emotion", "pixels", "Usage"), rest: tuple[str, ...] = ()
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 48 * 48))
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        for code, row, usage in zip((3, 0, 6), pixels, ("Training", "Training", "PublicTest"), strict=True):
            writer.writerow((code, " ".join(map(str, row)), usage, *rest))
    return path


def fer2013(root: Path) -> Built:
    table = fer2013_rows(root / "fer2013.csv")
    return Built(table, ["happiness", "anger", "neutral"], texts=[table])


def ferplus(root: Path) -> Built:
    table = fer2013_rows(root / "fer2013.csv")
    header = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
    rows = "Training,fer0.png,0,10,0,0,0,0,0,0,0,0\nTraining,fer1.png,0,0,0,0,9,1,0,0,0,0\n"
    votes = text(root / "fer2013new.csv", header + rows + "PublicTest,fer2.png,5,0,0,5,0,0,0,0,0,0\n")
    return Built(table, ["happiness", "anger", ""], texts=[votes, table])


def table(root: Path) -> Built:
    columns = ("emotion", "pixels", "Usage", "subject", "clip", "source", "box", "labels")
    own = fer2013_rows(root / "faces.csv", columns, ("who", "video", "a.jpg", "", "fer7"))
    return Built(own, ["happiness", "anger", "neutral"], texts=[own])


def folder(root: Path) -> Built:
    names = ("train/happy/a.png", "train/sad/b.png", "test/happy/c.jpg")
    files = [image(root / name, seed) for seed, name in enumerate(names)]
    return Built(root, ["happiness", "happiness", "sadness"], files)


def baum2_frames(root: Path) -> Built:
    text(root / "S001/001/emotion.txt", "5\n")
    label = text(root / "S002/007/emotion.txt", "1\n")
    names = ("S001/001/frames/0.jpg", "S001/001/frames/1.jpg", "S002/007/frames/0.jpg")
    files = [image(root / name, seed) for seed, name in enumerate(names)]
    return Built(root, ["happiness", "happiness", "anger"], files, [label])


def jaffe(root: Path) -> Built:
    names = ("KA.AN1.39.tiff", "KA.NE2.27.tiff", "YM.SU3.60.tiff")
    files = [image(root / name, seed, (256, 256)) for seed, name in enumerate(names)]
    return Built(root, ["anger", "neutral", "surprise"], files)


def ckplus(root: Path) -> Built:
    images = root / "cohn-kanade-images"
    files = [image(images / f"S010/006/S010_006_{i:08}.png", i) for i in range(1, 6)]
    files += [image(images / f"S011/001/S011_001_{i:08}.png", 10 + i) for i in range(1, 5)]
    text(root / "Emotion/S010/006/S010_006_00000005_emotion.txt", "   5.0000000e+00\n")
    label = text(root / "Emotion/S011/001/S011_001_00000004_emotion.txt", "   2.0000000e+00\n")
    emotions = ["neutral", *["happiness"] * 3, "neutral", *["contempt"] * 3]
    return Built(root, emotions, files[2:3] + files[-1:], [label])


def ckplus48(root: Path) -> Built:
    names = ("anger/S010_004_00000017.png", "anger/S010_004_00000018.png", "happy/S011_006_00000011.png")
    files = [image(root / name, seed, (48, 48)) for seed, name in enumerate(names)]
    return Built(root, ["anger", "anger", "happiness"], files)


def iefdb(root: Path) -> Built:
    files = [image(root / "images" / f"{name}.jpg", seed) for seed, name in enumerate(("a", "b", "c"))]
    own = text(root / "labels.csv", "file,emotion,subject\na.jpg,Happy,w1\nb.jpg,sad,w2\nc,neutral,w1\n")
    return Built(root, ["happiness", "sadness", "neutral"], files, [own])


BUILDERS: dict[str, Callable[[Path], Built]] = {
    builder.__name__: builder
    for builder in (fer2013, ferplus, table, folder, baum2_frames, jaffe, ckplus, ckplus48, iefdb)
}
every_set = pytest.mark.parametrize("name", DATASETS)
every_set_of_files = pytest.mark.parametrize("name", [name for name in DATASETS if datasets.has_files(name)])


def build(name: str, root: Path) -> Built:
    assert name in BUILDERS, f"{name} is registered, but has no builder in {Path(__file__).name}"
    root.mkdir(parents=True, exist_ok=True)
    return BUILDERS[name](root)


def load(name: str, built: Built, **options: Any) -> FaceData:
    return datasets.load(name, built.path, **built.options, **options)


def emotions(data: FaceData | ImageList) -> list[str]:
    return [data.label_set.emotions[label] if label >= 0 else "" for label in data.labels]


def check(data: FaceData) -> None:
    n = len(data)
    assert n > 0
    assert data.name in DATASETS
    assert data.images.dtype == np.uint8
    assert data.images.shape[0] == n
    assert data.images.ndim == 3
    assert data.labels.dtype == np.int64
    assert data.labels.shape == (n,)
    assert ((data.labels >= -1) & (data.labels < len(data.label_set))).all()
    assert data.rows.dtype == np.int64
    assert (np.diff(data.rows) > 0).all()
    for part in (data.splits, data.subjects, data.clips, data.files):
        assert part is None or (part.shape == (n,) and part.dtype.kind == "U")
    if data.distribution is not None:
        assert data.distribution.dtype == np.float32
        assert data.distribution.shape == (n, len(data.label_set))
    for i in range(n):
        assert data.read(i).shape == (*data.images.shape[1:], 3)
        if data.files is not None:
            assert Path(data.where(i)).is_file()
        else:
            assert re.search(r", row \d+$", data.where(i))


def outcome(name: str, built: Built, **options: Any) -> str:
    """Load what may be damaged, and return what was complained of: of one error one line, or of a warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            check(load(name, built, **options))
            complaints = [str(one.message) for one in caught]
        except (DatasetError, InputError) as error:
            complaints = [str(error)]
    assert all(issubclass(one.category, MienWarning) for one in caught)
    assert all(line and line.isprintable() for line in complaints), complaints
    return complaints[0] if complaints else ""


def complaint(name: str, built: Built) -> str:
    """Load what must not be taken as it is; what is left out is a line that names it."""
    said = outcome(name, built)
    assert said
    return said


def test_every_registered_set_has_a_builder() -> None:
    assert set(DATASETS) <= set(BUILDERS), f"no builder for {', '.join(set(DATASETS) - set(BUILDERS))}"


@every_set
def test_loads_what_was_built(name: str, tmp_path: Path) -> None:
    built = build(name, tmp_path)
    data = load(name, built)
    check(data)
    assert data.name == name
    assert sorted(emotions(data)) == sorted(built.emotions)
    assert data.images.shape[1:] == (48, 48)
    assert data.rows.tolist() == list(range(len(data)))


@every_set_of_files
def test_the_list_is_what_is_loaded(name: str, tmp_path: Path) -> None:
    built = build(name, tmp_path)
    listed, data = datasets.index(name, built.path, **built.options), load(name, built, size=20)
    assert data.images.shape[1:] == (20, 20)
    assert listed.problems == ()
    assert data.files is not None
    assert data.subjects is not None
    assert data.clips is not None
    assert list(listed.files) == data.files.tolist()
    for part in ("labels", "subjects", "clips", "splits"):
        np.testing.assert_array_equal(getattr(listed, part), getattr(data, part))
    for i in range(len(listed)):
        assert listed.where(i) == data.where(i)
        assert listed.read(i).dtype == np.uint8


@pytest.mark.parametrize(
    ("name", "subjects", "clips"),
    [
        ("jaffe", {"KA", "YM"}, {""}),
        ("ckplus", {"S010", "S011"}, {"S010/006", "S011/001"}),
        ("ckplus48", {"S010", "S011"}, {"S010/004", "S011/006"}),
        ("baum2_frames", {"S001", "S002"}, {"S001/001", "S002/007"}),
        ("iefdb", {"w1", "w2"}, {""}),
    ],
)
def test_tells_subjects_and_clips(name: str, subjects: set[str], clips: set[str], tmp_path: Path) -> None:
    data = load(name, build(name, tmp_path))
    assert data.subjects is not None
    assert data.clips is not None
    assert (set(data.subjects.tolist()), set(data.clips.tolist())) == (subjects, clips)


@every_set
def test_gives_one_split(name: str, tmp_path: Path) -> None:
    built = build(name, tmp_path)
    data = load(name, built)
    for split in filter(None, data.split_names()):
        part = load(name, built, split=split)
        check(part)
        np.testing.assert_array_equal(part.images, data.images[data.splits == split])
    with pytest.raises(DatasetError, match=r"split.*'no such'") as caught:
        load(name, built, split="no such")
    assert str(caught.value).isprintable()


@every_set_of_files
def test_tells_progress(name: str, tmp_path: Path) -> None:
    steps: list[int] = []
    data = load(name, build(name, tmp_path), progress=steps.append)
    assert sum(steps) == len(data)


@every_set
def test_knows_its_options(name: str, tmp_path: Path) -> None:
    built = build(name, tmp_path)
    with pytest.raises(InputError, match=f"data set '{name}' has no option 'color'"):
        load(name, built, color=True)


@every_set
@pytest.mark.parametrize(
    "where", ["nothing", "no\nfolder/x", "y" * 300, "zero\0byte"], ids=["nothing", "line break", "long", "zero byte"]
)
def test_a_missing_path(name: str, where: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        datasets.load(name, tmp_path / where)
    assert str(caught.value).isprintable()
    assert ascii(where)[1:-1] in str(caught.value)


@every_set
def test_an_empty_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="empty") as caught:
        datasets.load(name, tmp_path / "empty")
    assert str(caught.value).isprintable()


@every_set
def test_a_file_of_another_kind(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"other\.png") as caught:
        datasets.load(name, image(tmp_path / "other.png"))
    assert str(caught.value).isprintable()


@every_set_of_files
@pytest.mark.parametrize("content", [b"", b"x", None], ids=["empty", "junk", "half"])
def test_a_damaged_image(name: str, content: bytes | None, tmp_path: Path) -> None:
    built = build(name, tmp_path)
    bad = built.images[-1]
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size // 2] if content is None else content)
    with pytest.raises(DatasetError, match=re.escape(bad.name)) as caught:
        load(name, built)
    assert str(caught.value).isprintable()
    with pytest.warns(MienWarning, match=re.escape(bad.name)):
        data = load(name, built, problems="skip")
    check(data)
    assert len(data) == len(built.emotions) - 1


@every_set
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_truncated_table(name: str, share: float, tmp_path: Path) -> None:
    built = build(name, tmp_path)
    for path in built.texts:
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        said = outcome(name, built)
        assert said or share > 0
        # What is left of a label can still be one, so only what is empty must be complained of by name.
        assert share > 0 or path.name in said
        path.write_bytes(whole)


@every_set
@pytest.mark.parametrize("kind", JUNK)
def test_a_table_of_junk(name: str, kind: str, tmp_path: Path) -> None:
    built = build(name, tmp_path)
    for path in built.texts:
        whole = path.read_bytes()
        path.write_bytes(JUNK[kind])
        assert path.name in complaint(name, built)
        path.write_bytes(whole)


@every_set
@pytest.mark.parametrize("odd", HOSTILE)
def test_lies_in_a_folder_of_an_odd_name(name: str, odd: str, tmp_path: Path) -> None:
    built = build(name, tmp_path / odd)
    data = load(name, built)
    check(data)
    assert sorted(emotions(data)) == sorted(built.emotions)
    for path in (*built.images[-1:], *built.texts[:1]):
        whole = path.read_bytes()
        path.write_bytes(b"")
        complaint(name, built)
        path.write_bytes(whole)
    with pytest.raises(DatasetError) as caught:
        load(name, built, split="no\nsuch")
    assert str(caught.value).isprintable()


@every_set_of_files
@pytest.mark.parametrize("odd", HOSTILE)
def test_holds_files_of_odd_names(name: str, odd: str, tmp_path: Path) -> None:
    built = build(name, tmp_path)
    image(built.images[0].parent / f"{odd}.png", 99)
    (built.images[0].parent / f"{odd}.folder.png").mkdir()
    text(built.images[0].parent / f"{odd}.txt", "notes")
    text(built.path / f"{odd}.md", "notes")
    listed = datasets.index(name, built.path, **built.options)
    assert all(line.isprintable() for line in listed.problems)
    assert all(Path(listed.where(i)).is_file() for i in range(len(listed)))
    # An image is either taken, where names mean nothing, or named among the problems.
    taken = any(Path(file).name == f"{odd}.png" for file in listed.files)
    assert taken or any(ascii(odd)[1:-1] in ascii(line).replace("\\\\", "\\") for line in listed.problems)
    outcome(name, built)


@every_set_of_files
def test_hidden_files_are_no_problem(name: str, tmp_path: Path) -> None:
    built = build(name, tmp_path)
    for folder_ in {path.parent for path in (*built.images, *built.texts)} | {built.path}:
        text(folder_ / ".DS_Store", "junk")
        text(folder_ / f"._{built.images[0].name}", "junk")
    listed = datasets.index(name, built.path, **built.options)
    assert listed.problems == ()
    assert sorted(emotions(listed)) == sorted(built.emotions)
