"""What every registered dataset must do, on a tiny copy of its published layout.

A dataset that is registered and has no builder here fails: see `BUILDERS`.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.data import DATASETS, Dataset, Samples, dataset_names, load_dataset, load_images
from mien.data.samples import COLUMNS, Row
from mien.errors import DatasetError, InputError, MienWarning
from mien.labels import FER7
from speech_corpora import tone, write_wav
from video_corpora import video

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
    """A tiny dataset: where it lies, what a loader should find, and which files of it to damage."""

    path: Path
    emotions: list[str]
    files: list[Path] = field(default_factory=list)
    texts: list[Path] = field(default_factory=list)


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


def photographs(root: Path) -> Built:
    files = [image(root / "images" / f"{name}.jpg", seed) for seed, name in enumerate(("a", "b", "c"))]
    own = text(root / "labels.csv", "image,emotion,person\na.jpg,anger,w1\nb.jpg,sadness,w2\nc.jpg,neutral,w1\n")
    return Built(root, ["anger", "sadness", "neutral"], files, [own])


def sounds(root: Path, names: dict[str, str]) -> Built:
    """Write an audio file for each name, with its emotion."""
    files = [write_wav(root / name, tone(hz=200 + 50 * number, seconds=0.2)) for number, name in enumerate(names)]
    return Built(root, list(names.values()), files)


def ravdess(root: Path) -> Built:
    return sounds(
        root, {"Actor_01/03-01-05-01-01-01-01.wav": "anger", "test/happy/03-01-03-02-02-01-12.wav": "happiness"}
    )


def emodb(root: Path) -> Built:
    return sounds(root, {"wav/03a01Wa.wav": "anger", "wav/16b10Nb.wav": "neutral"})


def crema_d(root: Path) -> Built:
    return sounds(root, {"1001_DFA_ANG_XX.wav": "anger", "1091_IEO_SAD_HI.wav": "sadness"})


def tess(root: Path) -> Built:
    return sounds(root, {"OAF_angry/OAF_back_angry.wav": "anger", "YAF_dog_ps.wav": "surprise"})


def savee(root: Path) -> Built:
    return sounds(root, {"DC_a01.wav": "anger", "JE/su15.wav": "surprise"})


def nemo(root: Path) -> Built:
    return sounds(root, {"EB0_anger_1.wav": "anger", "samples/WR0_surprised_64.wav": "surprise"})


def speech_folder(root: Path) -> Built:
    return sounds(root, {"train/sad/a.wav": "sadness", "test/joy/b.wav": "happiness", "train/fear/c.wav": "fear"})


def baum2(root: Path) -> Built:
    files = [video(root / "S001/avi/001.avi"), video(root / "S002/avi/001.avi")]
    labels = [text(root / f"S00{n}/emotion/001.txt", code) for n, code in ((1, "5.0"), (2, "1"))]
    return Built(root, ["happiness", "anger"], files, labels)


def ckplus_sequences(root: Path) -> Built:
    built = ckplus(root)
    return Built(root, ["happiness", "contempt"], built.files[:1], built.texts)


def ravdess_videos(root: Path) -> Built:
    names = ("Actor_01/01-01-05-01-01-01-01.mp4", "Actor_02/01-01-03-02-02-01-02.mp4")
    return Built(root, ["anger", "happiness"], [video(root / name) for name in names])


def video_folder(root: Path) -> Built:
    files = [video(root / name) for name in ("train/happy/a_1.mp4", "test/b/sad/x.mp4")]
    files += [image(root / f"fear/c_1/{number}.png", number) for number in range(3)]
    return Built(root, ["happiness", "sadness", "fear"], files)


BUILDERS: dict[str, Callable[[Path], Built]] = {
    builder.__name__: builder
    for builder in (
        *(fer2013, ferplus, table, folder, baum2_frames, jaffe, ckplus, ckplus48, iefdb, photographs),
        *(ravdess, emodb, crema_d, tess, savee, nemo, speech_folder),
        *(baum2, ckplus_sequences, ravdess_videos, video_folder),
    )
}
IN_FILES = [name for name in DATASETS if not DATASETS[name].in_memory]
every_set = pytest.mark.parametrize("name", DATASETS)
every_set_of_images = pytest.mark.parametrize("name", dataset_names("image"))
every_set_in_files = pytest.mark.parametrize("name", IN_FILES)
every_set_of_image_files = pytest.mark.parametrize(
    "name", [name for name in IN_FILES if DATASETS[name].kind == "image"]
)


def build(name: str, root: Path) -> Built:
    assert name in BUILDERS, f"{name} is registered, but has no builder in {Path(__file__).name}"
    root.mkdir(parents=True, exist_ok=True)
    return BUILDERS[name](root)


def emotions(data: Samples) -> list[str]:
    return [data.emotion(i) for i in range(len(data))]


def check(name: str, data: Samples) -> None:
    n = len(data)
    assert n > 0
    assert (data.name, data.kind) == (name, DATASETS[name].kind)
    assert (data.pixels is not None) == DATASETS[name].in_memory
    assert data.labels.dtype == np.int64
    assert ((data.labels >= -1) & (data.labels < len(data.label_set))).all()
    assert data.rows.dtype == np.int64
    assert (np.diff(data.rows) > 0).all()
    assert set(data.columns) <= set(COLUMNS)
    assert all(values.shape == (n,) and values.dtype.kind == "U" for values in data.columns.values())
    if data.distribution is not None:
        assert data.distribution.dtype == np.float32
        assert data.distribution.shape == (n, len(data.label_set))
    for i in range(n):
        if data.pixels is None:
            assert Path(data.where(i)).is_dir() if data.frames[i] else Path(data.where(i)).is_file()
        else:
            assert re.search(r", row \d+$", data.where(i))


def read(data: Samples) -> None:
    """Read everything."""
    for i in range(len(data)):
        if data.kind == "audio":
            assert data.read_audio(i).dtype == np.float32
        else:
            assert data.read(i).ndim == 3
            assert data.read(i).dtype == np.uint8


def outcome(name: str, built: Built) -> str:
    """List and read what may be damaged, and return what was complained of: of one error one line, or of a problem."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            data = load_dataset(name, built.path)
            check(name, data)
            complaints = list(data.problems)
            read(data)
        except (DatasetError, InputError) as error:
            complaints = [str(error)]
    assert all(issubclass(one.category, MienWarning) for one in caught)
    complaints += [str(one.message) for one in caught]
    assert all(line and line.isprintable() for line in complaints), complaints
    return complaints[0] if complaints else ""


def complaint(name: str, built: Built) -> str:
    """Load what must not be taken as it is; what is left out is a line that names it."""
    said = outcome(name, built)
    assert said
    return said


def test_every_registered_set_has_a_builder_and_one_line() -> None:
    assert set(DATASETS) <= set(BUILDERS), f"no builder for {', '.join(set(DATASETS) - set(BUILDERS))}"
    for name in DATASETS:
        assert 20 < len(DATASETS[name].about) < 110
        assert "\n" not in DATASETS[name].about
    assert sorted(DATASETS) == sorted(dataset_names("image") + dataset_names("audio") + dataset_names("video"))


def test_unknown_names_list_the_known_ones(tmp_path: Path) -> None:
    for function in (load_dataset, load_images):
        with pytest.raises(InputError, match="unknown dataset 'fer': expected one of fer2013, ferplus, folder, "):
            function("fer", tmp_path)


def test_another_package_can_add_one(tmp_path: Path) -> None:
    def list_mine(path: Path, *, emotion: str = "fear") -> Samples:
        return Samples.from_rows([Row("x.png", emotion)], name="mine", kind="image", source=path, label_set=FER7)

    DATASETS.register("mine", Dataset("image", "my own dataset", list_mine))
    try:
        assert "mine" in dataset_names("image")
        assert load_dataset("mine", tmp_path, emotion="anger").emotion(0) == "anger"
        with pytest.raises(InputError, match="dataset 'mine' has no option 'x': it takes emotion"):
            load_dataset("mine", tmp_path, x=1)
        with pytest.raises(InputError, match="there is already a dataset called 'mine'"):
            DATASETS.register("mine", "nowhere:MINE")
    finally:
        DATASETS.unregister("mine")


@every_set
def test_loads_what_was_built(name: str, tmp_path: Path) -> None:
    built = build(name, tmp_path)
    data = load_dataset(name, built.path)
    check(name, data)
    read(data)
    assert sorted(emotions(data)) == sorted(built.emotions)
    assert data.problems == ()
    assert data.rows.tolist() == list(range(len(data)))


@every_set_of_images
def test_reads_all_images_into_memory(name: str, tmp_path: Path) -> None:
    built = build(name, tmp_path)
    steps: list[int] = []
    listed, data = load_dataset(name, built.path), load_images(name, built.path, size=48, progress=steps.append)
    assert (data.images.dtype, data.images.shape) == (np.uint8, (len(listed), 48, 48))
    assert sum(steps) == len(data)
    assert data.columns.keys() == listed.columns.keys()
    np.testing.assert_array_equal(listed.labels, data.labels)
    np.testing.assert_array_equal(listed.files, data.files)
    for i in range(len(listed)):
        assert listed.where(i) == data.where(i)


@pytest.mark.parametrize("name", dataset_names("audio", "video"))
def test_other_kinds_are_not_read_as_images(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=f"{name} is a dataset of {DATASETS[name].kind} files, not of images"):
        load_images(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "subjects", "clips"),
    [
        ("jaffe", {"KA", "YM"}, {""}),
        ("ckplus", {"S010", "S011"}, {"S010/006", "S011/001"}),
        ("ckplus48", {"S010", "S011"}, {"S010/004", "S011/006"}),
        ("ckplus_sequences", {"S010", "S011"}, {"S010/006", "S011/001"}),
        ("baum2_frames", {"S001", "S002"}, {"S001/001", "S002/007"}),
        ("baum2", {"S001", "S002"}, {"S001/001", "S002/001"}),
        ("iefdb", {"w1", "w2"}, {""}),
        ("photographs", {"w1", "w2"}, {""}),
        ("table", {"who"}, {"video"}),
        ("ravdess", {"01", "12"}, {"01-05-01-01-01-01", "01-03-02-02-01-12"}),
        ("emodb", {"03", "16"}, {"03a01Wa", "16b10Nb"}),
    ],
)
def test_says_subjects_and_clips(name: str, subjects: set[str], clips: set[str], tmp_path: Path) -> None:
    data = load_dataset(name, build(name, tmp_path).path)
    assert (set(data.subjects.tolist()), set(data.clips.tolist())) == (subjects, clips)


@every_set
def test_gives_one_split(name: str, tmp_path: Path) -> None:
    built = build(name, tmp_path)
    data = load_dataset(name, built.path)
    for split in filter(None, data.split_names()):
        part = load_dataset(name, built.path, split=split)
        check(name, part)
        assert part.rows.tolist() == data.rows[data.splits == split].tolist()
    with pytest.raises(DatasetError, match=r"split.*'no such'") as caught:
        load_dataset(name, built.path, split="no such")
    assert str(caught.value).isprintable()


@every_set
def test_knows_its_options(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"dataset '{name}' has no option 'color': it takes "):
        load_dataset(name, build(name, tmp_path).path, color=True)


@every_set
@pytest.mark.parametrize(
    "where", ["nothing", "no\nfolder/x", "y" * 300, "zero\0byte"], ids=["nothing", "line break", "long", "zero byte"]
)
def test_a_missing_path(name: str, where: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        load_dataset(name, tmp_path / where)
    assert str(caught.value).isprintable()
    assert ascii(where)[1:-1] in str(caught.value)


@every_set
def test_an_empty_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="empty") as caught:
        load_dataset(name, tmp_path / "empty")
    assert str(caught.value).isprintable()


@every_set
def test_a_file_of_another_kind(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"other\.png") as caught:
        load_dataset(name, image(tmp_path / "other.png"))
    assert str(caught.value).isprintable()


@every_set_in_files
@pytest.mark.parametrize("content", [b"", b"x", None], ids=["empty", "junk", "half"])
def test_a_damaged_file(name: str, content: bytes | None, tmp_path: Path) -> None:
    built = build(name, tmp_path)
    bad = built.files[0]
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size // 2] if content is None else content)
    data = load_dataset(name, built.path)
    if DATASETS[name].kind != "audio":
        with pytest.raises(DatasetError, match=re.escape(bad.name)) as caught:
            data.faces(count=None)
        assert str(caught.value).isprintable()
        with pytest.warns(MienWarning, match=re.escape(bad.name)):
            faces = data.faces(count=None, problems="skip")
        places = {str(Path(data.source) / file.split(",")[0]) for file in faces.files.tolist()}
        assert places
        assert str(bad) not in places
    elif content is not None:  # half a sound is a sound
        with pytest.raises(DatasetError, match=re.escape(bad.name)):
            read(data)


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
    data = load_dataset(name, built.path)
    check(name, data)
    assert sorted(emotions(data)) == sorted(built.emotions)
    for path in (*built.files[:1], *built.texts[:1]):
        whole = path.read_bytes()
        path.write_bytes(b"")
        complaint(name, built)
        path.write_bytes(whole)
    with pytest.raises(DatasetError) as caught:
        load_dataset(name, built.path, split="no\nsuch")
    assert str(caught.value).isprintable()


@every_set_in_files
@pytest.mark.parametrize("odd", HOSTILE)
def test_holds_files_of_odd_names(name: str, odd: str, tmp_path: Path) -> None:
    built = build(name, tmp_path)
    beside = built.files[0].parent
    added = beside / f"{odd}{built.files[0].suffix}"
    added.write_bytes(built.files[0].read_bytes())
    (beside / f"{odd}.folder.png").mkdir()
    text(beside / f"{odd}.txt", "notes")
    text(built.path / f"{odd}.md", "notes")
    listed = load_dataset(name, built.path)
    check(name, listed)
    assert all(line.isprintable() for line in listed.problems)
    # A file is either taken, where names mean nothing, or named among the problems.
    files = [*listed.files.tolist(), *(frame for frames in listed.frames for frame in frames)]
    taken = any(Path(file).name == added.name for file in files)
    assert taken or any(ascii(odd)[1:-1][:60] in ascii(line).replace("\\\\", "\\") for line in listed.problems)
    outcome(name, built)


@every_set_in_files
def test_hidden_files_are_no_problem(name: str, tmp_path: Path) -> None:
    built = build(name, tmp_path)
    for place in {path.parent for path in (*built.files, *built.texts)} | {built.path}:
        text(place / ".DS_Store", "junk")
        text(place / f"._{built.files[0].name}", "junk")
    listed = load_dataset(name, built.path)
    assert listed.problems == ()
    assert sorted(emotions(listed)) == sorted(built.emotions)
