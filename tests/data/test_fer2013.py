from __future__ import annotations

import lzma
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from face_tables import Row, make_rows, pixels_of, table_text, votes_text, write_table
from mien.data import Samples
from mien.data.fer2013 import add_votes, majority, open_table, read_fer2013, read_ferplus, read_votes
from mien.errors import DatasetError
from mien.labels import FER7, FERPLUS8

USAGES = ["Training", "Training", "PublicTest", "Training", "PrivateTest", "PublicTest", "Training", "Training"]
ROWS = make_rows(USAGES)


def check_all(data: Samples, rows: list[Row] = ROWS) -> None:
    assert data.name == "fer2013"
    assert data.label_set is FER7
    assert data.images.dtype == np.uint8
    np.testing.assert_array_equal(data.images, pixels_of(rows))
    assert data.labels.tolist() == [int(row.emotion) for row in rows]
    assert data.splits.tolist() == [row.usage for row in rows]
    assert data.rows.tolist() == list(range(len(rows)))


@pytest.mark.parametrize(
    "name", ["fer2013.csv", "fer2013.csv.xz", "fer2013.csv.gz", "fer2013.csv.zip", "fer2013.zip", "other name.csv"]
)
def test_every_compression(tmp_path: Path, name: str) -> None:
    check_all(read_fer2013(write_table(tmp_path / name, table_text(ROWS))))
    if name.startswith("fer2013"):
        check_all(read_fer2013(tmp_path))


def test_compression_is_detected_from_content(tmp_path: Path) -> None:
    path = write_table(tmp_path / "fer2013.csv.xz", table_text(ROWS))
    check_all(read_fer2013(path.rename(tmp_path / "plain.csv")))


def test_icml_face_data_has_another_order_and_leading_blanks(tmp_path: Path) -> None:
    text = table_text(ROWS, ("emotion", " Usage", " pixels"))
    assert text.startswith("emotion, Usage, pixels\n")
    check_all(read_fer2013(write_table(tmp_path / "icml_face_data.csv", text)))
    check_all(read_fer2013(str(tmp_path)))


@pytest.mark.parametrize(
    "change",
    [
        lambda t: "\ufeff" + t,
        lambda t: t.replace("\n", "\r\n"),
        lambda t: t.replace("\n", "\n\n"),
        lambda t: t.rstrip("\n"),
        lambda t: t.replace(",Training", ", Training "),
        lambda t: t.replace("emotion,pixels,Usage", "emotion,pixels,Usage,note").replace("est\n", "est,x\n"),
    ],
    ids=["BOM", "CRLF", "blank lines", "no last line end", "blanks around values", "more columns"],
)
def test_harmless_differences(tmp_path: Path, change: object) -> None:
    text = change(table_text(ROWS))  # type: ignore[operator]
    data = read_fer2013(write_table(tmp_path / "fer2013.csv", text))
    np.testing.assert_array_equal(data.images, pixels_of(ROWS))
    assert data.splits.tolist() == USAGES


def test_one_split_keeps_its_place_in_the_published_order(tmp_path: Path) -> None:
    path = write_table(tmp_path / "fer2013.csv", table_text(ROWS))
    data = read_fer2013(path, split="PublicTest")
    assert data.rows.tolist() == [2, 5]
    assert data.split_names() == ["PublicTest"]
    np.testing.assert_array_equal(data.images, pixels_of(ROWS)[[2, 5]])


def test_a_file_may_hold_one_split_only(tmp_path: Path) -> None:
    rows = make_rows(["PrivateTest"] * 3, seed=1)
    path = write_table(tmp_path / "exam.csv", table_text(rows))
    check_all(read_fer2013(path), rows)
    check_all(read_fer2013(path, split="PrivateTest"), rows)
    with pytest.raises(DatasetError, match=r"exam\.csv has no split 'Training'"):
        read_fer2013(path, split="Training")


def test_unknown_split(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="fer2013 has the splits Training, PublicTest, PrivateTest, but got 'test'"):
        read_fer2013(tmp_path, split="test")


GOOD = " ".join(["7"] * 2304)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((" ".join(["7"] * 2303), "0", "Training"), "row 3: expected 2304 pixels, but got 2303"),
        ((" ".join(["7"] * 2305), "0", "Training"), "row 3: expected 2304 pixels, but got 2305"),
        (("", "0", "Training"), "row 3: expected 2304 pixels, but got 0"),
        ((" ".join(["7"] * 2303 + ["256"]), "0", "Training"), r"row 3: pixels must be 0\.\.255, but got 7\.\.256"),
        ((" ".join(["7"] * 2303 + ["-1"]), "0", "Training"), r"row 3: pixels must be 0\.\.255, but got -1\.\.7"),
        ((" ".join(["7"] * 2303 + ["9" * 30]), "0", "Training"), "row 3: pixels must be"),
        ((" ".join(["7"] * 2303 + ["x"]), "0", "Training"), "row 3: pixels must be integers, but got '7 7 7"),
        ((" ".join(["7"] * 2303 + ["1.5"]), "0", "Training"), "row 3: pixels must be integers"),
        ((" ".join(["7"] * 2303 + ["٣x"]), "0", "Training"), "row 3: pixels must be integers"),
        ((GOOD, "7", "Training"), "row 3: emotion must be a code from 0 to 6, but got '7'"),
        ((GOOD, "-1", "Training"), "row 3: emotion must be a code from 0 to 6, but got '-1'"),
        ((GOOD, "", "Training"), "row 3: emotion must be a code from 0 to 6, but got ''"),
        ((GOOD, "9" * 5000, "Training"), "row 3: emotion must be a code from 0 to 6, but got '999"),
        ((GOOD, "happy", "Training"), "row 3: emotion must be a code from 0 to 6, but got 'happy'"),
        (
            (GOOD, "0", "Trainning"),
            "row 3: Usage must be one of Training, PublicTest, PrivateTest, but got 'Trainning'",
        ),
        ((GOOD, "0", ""), "row 3: Usage must be one of"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: tuple[str, str, str], message: str) -> None:
    pixels, emotion, usage = row
    rows = [Row("0", GOOD, "Training"), Row(emotion, pixels, usage)]
    path = write_table(tmp_path / "fer2013.csv", table_text(rows))
    with pytest.raises(DatasetError, match=message) as caught:
        read_fer2013(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the column emotion, pixels, Usage: it has none"),
        ("emotion,pixels\n0,1\n", "lacks the column Usage: it has emotion, pixels"),
        ("emotion,pixels,Usage\n", "has no rows"),
        ("emotion,pixels,Usage\n0,1 2\n", "row 2: expected 3 columns, but got 2"),
        ('emotion,pixels,Usage\n0,"' + "1 " * 70_000, "line 2: field larger than field limit"),
    ],
)
def test_a_wrong_table(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_fer2013(write_table(tmp_path / "fer2013.csv", text))


@pytest.mark.parametrize("suffix", ["xz", "gz", "zip"])
@pytest.mark.parametrize("keep", [0.05, 0.5, 0.95])
def test_truncated_archives(tmp_path: Path, suffix: str, keep: float) -> None:
    path = write_table(tmp_path / f"fer2013.csv.{suffix}", table_text(ROWS))
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(DatasetError, match="is damaged or truncated"):
        read_fer2013(path)


@pytest.mark.parametrize("suffix", ["xz", "gz", "zip"])
def test_damaged_archives_never_crash(tmp_path: Path, suffix: str) -> None:
    path = write_table(tmp_path / f"fer2013.csv.{suffix}", table_text(ROWS))
    data = bytearray(path.read_bytes())
    generator = np.random.default_rng(0)
    rejected = 0
    for _ in range(60):
        damaged = data.copy()
        damaged[int(generator.integers(6, len(data)))] ^= int(generator.integers(1, 256))
        path.write_bytes(damaged)
        try:
            check_all(read_fer2013(path))
        except DatasetError:
            rejected += 1
    assert rejected > 30


def test_truncated_plain_table(tmp_path: Path) -> None:
    text = table_text(ROWS)
    with pytest.raises(DatasetError, match="row 9: expected"):
        read_fer2013(write_table(tmp_path / "fer2013.csv", text[:-5000]))


def test_not_a_table(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no file .*nowhere"):
        read_fer2013(tmp_path / "nowhere.csv")
    (tmp_path / "image.csv").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    with pytest.raises(DatasetError, match="is not a table: invalid start byte"):
        read_fer2013(tmp_path / "image.csv")
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(DatasetError, match="lacks the column"):
        read_fer2013(tmp_path / "empty.csv")
    (tmp_path / "empty.csv.xz").write_bytes(lzma.compress(b""))
    with pytest.raises(DatasetError, match="lacks the column"):
        read_fer2013(tmp_path / "empty.csv.xz")


def test_zips(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "x")
        archive.writestr("b.csv", "y")
    with pytest.raises(DatasetError, match=r"must hold one table, but holds a\.csv, b\.csv"):
        read_fer2013(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(DatasetError, match="must hold one table, but holds none"):
        read_fer2013(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("example_submission.csv", "x")
        archive.writestr("icml_face_data.csv", table_text(ROWS))
    check_all(read_fer2013(path))


def test_encrypted_zip(tmp_path: Path) -> None:
    path = write_table(tmp_path / "fer2013.zip", table_text(ROWS))
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flags] |= 1  # general purpose bit 0: encrypted
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"cannot unpack .*password required"):
        read_fer2013(path)


def write_tree(root: Path) -> list[tuple[str, str, np.ndarray]]:
    generator = np.random.default_rng(2)
    written = []
    files = [
        ("train/angry/Training_1.png", "anger", "Training"),
        ("train/angry/Training_2.png", "anger", "Training"),
        ("train/happy/Training_0.png", "happiness", "Training"),
        ("test/neutral/PrivateTest_7.png", "neutral", "PrivateTest"),
        ("test/surprise/PublicTest_5.png", "surprise", "PublicTest"),
    ]
    for name, emotion, usage in files:
        pixels = generator.integers(0, 256, (48, 48), dtype=np.uint8)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / name)
        written.append((emotion, usage, pixels))
    return sorted(written, key=lambda entry: entry[1] == "Training")  # test before train, as the alphabet has it


def test_folder_tree(tmp_path: Path) -> None:
    written = write_tree(tmp_path)
    (tmp_path / "train" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "train" / "angry" / "._Training_1.png").write_bytes(b"finder")
    (tmp_path / "train" / "angry" / "notes.txt").write_text("x")
    (tmp_path / "readme.md").write_text("x")
    data = read_fer2013(tmp_path)
    assert [FER7.emotions[label] for label in data.labels] == [emotion for emotion, _, _ in written]
    assert data.splits.tolist() == [usage for _, usage, _ in written]
    np.testing.assert_array_equal(data.images, np.stack([pixels for _, _, pixels in written]))
    part = read_fer2013(tmp_path, split="Training")
    assert part.rows.tolist() == [2, 3, 4]
    np.testing.assert_array_equal(part.images, data.images[2:])
    with pytest.raises(DatasetError, match="holds neither"):
        read_fer2013(tmp_path / "train")


def test_folder_tree_of_jpeg_is_close(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(48), 2 * np.arange(48)).astype(np.uint8)
    (tmp_path / "train" / "fear").mkdir(parents=True)
    Image.fromarray(smooth).save(tmp_path / "train" / "fear" / "Training_9.jpg", quality=95)
    data = read_fer2013(tmp_path)
    assert data.images.shape == (1, 48, 48)
    assert np.abs(data.images[0].astype(int) - smooth).max() < 12
    assert data.labels.tolist() == [2]


def test_wrong_trees(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds neither fer2013\.csv nor a tree"):
        read_fer2013(tmp_path)
    write_tree(tmp_path)
    file = tmp_path / "test" / "surprise" / "PublicTest_5.png"
    nameless = file.rename(file.with_name("5.png"))
    with pytest.raises(DatasetError, match="must be named PublicTest_<id> or PrivateTest_<id>"):
        read_fer2013(tmp_path)
    nameless.rename(file)
    Image.new("L", (47, 48)).save(file)
    with pytest.raises(DatasetError, match=r"PublicTest_5\.png: expected 48 x 48 pixels, but got 47 x 48"):
        read_fer2013(tmp_path)
    file.write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"PublicTest_5\.png: "):
        read_fer2013(tmp_path)
    file.unlink()
    (tmp_path / "train" / "bored").mkdir()
    with pytest.raises(DatasetError, match="bored: unknown emotion 'bored'"):
        read_fer2013(tmp_path)


@pytest.mark.data
def test_the_published_table(fer2013_dir: Path) -> None:
    path = fer2013_dir / "fer2013.csv.xz"
    with open_table(path) as text:
        head = [next(text) for _ in range(201)]
    counts = np.zeros(7, dtype=int)
    for line in head[1:]:
        counts[int(line[0])] += 1
    assert head[0].strip() == "emotion,pixels,Usage"
    assert counts.sum() == 200
    assert (counts[[3, 6]] > counts[1]).all()


# --- FER+ ------------------------------------------------------------------------------------------

# neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, NF; majority and plurality by hand.
CASES: list[tuple[list[int], int, int]] = [
    ([10, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0, 0),
    ([4, 0, 0, 6, 0, 0, 0, 0, 0, 0], 3, 3),
    ([5, 5, 0, 0, 0, 0, 0, 0, 0, 0], -1, 0),  # a tie is no majority; plurality takes the first
    ([1, 1, 1, 1, 1, 3, 1, 1, 0, 0], 5, 5),  # the single votes go: 3 of 3
    ([0, 0, 0, 0, 0, 0, 0, 4, 6, 0], -1, 7),  # most say unknown
    ([0, 0, 0, 0, 0, 0, 0, 0, 0, 10], -1, -1),  # no face
    ([0, 0, 4, 0, 3, 0, 0, 0, 3, 0], -1, 2),  # 4 of 10 is no majority: unknown counts
    ([1, 1, 1, 1, 1, 1, 1, 1, 1, 1], -1, -1),
]
VOTES = [(usage, votes) for usage, (votes, _, _) in zip(USAGES, CASES, strict=True)]


@pytest.fixture
def both(tmp_path: Path) -> Path:
    write_table(tmp_path / "fer2013new.csv", votes_text(VOTES))
    return write_table(tmp_path / "fer2013.csv", table_text(ROWS))


@pytest.mark.parametrize(("protocol", "column"), [("majority", 1), ("plurality", 2)])
def test_protocols_by_hand(both: Path, protocol: str, column: int) -> None:
    data = read_ferplus(both, protocol=protocol)
    assert data.labels.tolist() == [case[column] for case in CASES]
    assert data.labels.dtype == np.int64
    assert (data.name, data.protocol, data.label_set) == ("ferplus", protocol, FERPLUS8)
    np.testing.assert_array_equal(data.images, pixels_of(ROWS))
    assert len(data.labeled()) == sum(case[column] >= 0 for case in CASES)


@pytest.mark.parametrize("protocol", ["probability", "cross-entropy"])
def test_training_modes_learn_the_votes_and_measure_the_most_voted(both: Path, protocol: str) -> None:
    data = read_ferplus(both, protocol=protocol)
    assert data.protocol == protocol
    assert data.labels.tolist() == [case[2] for case in CASES]
    assert data.distribution is not None
    votes = np.array([case[0] for case in CASES])[:, :8]
    kept = np.where(votes > 1, votes, 0)
    voted = kept.sum(axis=1) > 0
    np.testing.assert_allclose(data.distribution[voted], kept[voted] / kept[voted].sum(axis=1, keepdims=True))
    assert (data.distribution[~voted] == 0).all()
    assert (data.labels[~voted] == -1).all()


def test_majority_is_the_default_and_a_folder_will_do(both: Path) -> None:
    data = read_ferplus(both.parent)
    assert data.protocol == "majority"
    assert data.labels.tolist() == read_ferplus(both, protocol="majority").labels.tolist()


def test_soft_labels_drop_single_votes_unknown_and_no_face(both: Path) -> None:
    p = read_ferplus(both).distribution
    assert p is not None
    assert p.dtype == np.float32
    np.testing.assert_allclose(p[1], [0.4, 0, 0, 0.6, 0, 0, 0, 0])
    np.testing.assert_allclose(p[3], np.eye(8)[5])
    np.testing.assert_allclose(p[6], [0, 0, 4 / 7, 0, 3 / 7, 0, 0, 0], rtol=1e-6)
    assert not p[[5, 7]].any()


def test_columns_are_found_by_name(tmp_path: Path, both: Path) -> None:
    lines = [line.split(",") for line in votes_text(VOTES).splitlines()]
    mixed = "\n".join(",".join(reversed(line)) for line in lines)
    data = read_ferplus(both, labels=write_table(tmp_path / "mixed.csv", mixed))
    assert data.labels.tolist() == [case[1] for case in CASES]


def test_compressed_votes(tmp_path: Path, both: Path) -> None:
    packed = write_table(tmp_path / "votes.csv.xz", votes_text(VOTES))
    assert read_ferplus(both, labels=packed).labels.tolist() == [case[1] for case in CASES]


@pytest.mark.parametrize("split", ["Training", "PublicTest", "PrivateTest"])
def test_votes_may_cover_only_the_rows_present(tmp_path: Path, split: str) -> None:
    """Both files with one split, each of them alone with one split, and both with all: always the same labels."""
    votes_part = write_table(tmp_path / "part.csv", votes_text([v for v in VOTES if v[0] == split], first=100))
    votes_all = write_table(tmp_path / "all.csv", votes_text(VOTES))
    table_part = write_table(tmp_path / "pixels_part.csv", table_text([r for r in ROWS if r.usage == split]))
    table_all = write_table(tmp_path / "pixels_all.csv", table_text(ROWS))
    expected = [case[1] for case, usage in zip(CASES, USAGES, strict=True) if usage == split]
    for pixels in (table_part, table_all):
        for votes in (votes_part, votes_all):
            assert read_ferplus(pixels, labels=votes, split=split).labels.tolist() == expected
    assert read_ferplus(table_part, labels=votes_part).labels.tolist() == expected


def test_added_votes_keep_images_and_places(both: Path) -> None:
    images = read_fer2013(both, split="PublicTest")
    data = add_votes(images, both.parent / "fer2013new.csv", protocol="plurality")
    assert data.rows.tolist() == [2, 5]
    assert data.images is images.images
    assert data.labels.tolist() == [0, -1]


def test_votes_for_other_rows_are_rejected(tmp_path: Path, both: Path) -> None:
    short = write_table(tmp_path / "short.csv", votes_text(VOTES[:-1]))
    with pytest.raises(DatasetError, match=r"short\.csv has 4 rows of Training, but .*fer2013\.csv has 5: both files"):
        read_ferplus(both, labels=short)
    assert len(read_ferplus(both, labels=short, split="PublicTest")) == 2
    other = write_table(tmp_path / "other.csv", votes_text([v for v in VOTES if v[0] == "Training"]))
    with pytest.raises(DatasetError, match="has 0 rows of PublicTest"):
        read_ferplus(both, labels=other)


def test_shuffled_votes_are_rejected(tmp_path: Path) -> None:
    rows = make_rows(["Training"] * 40)
    table = write_table(tmp_path / "fer2013.csv", table_text(rows))
    head, *lines = votes_text([("Training", [10] + 9 * [0])] * 40).splitlines()
    np.random.default_rng(0).shuffle(lines)
    write_table(tmp_path / "fer2013new.csv", "\n".join([head, *lines]))
    with pytest.raises(DatasetError, match="names of Training run backwards: the rows must be in the published order"):
        read_ferplus(table)


def test_votes_without_names_are_taken_in_order(tmp_path: Path, both: Path) -> None:
    nameless = write_table(tmp_path / "nameless.csv", votes_text(VOTES, names=False))
    assert read_ferplus(both, labels=nameless).labels.tolist() == [case[1] for case in CASES]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the column Usage, neutral, .*, NF: it has none"),
        ("Usage,Image name,neutral\n", "lacks the column happiness"),
        (votes_text([]), "has no rows"),
        (votes_text(VOTES).replace(",6,", ",six,", 1), "row 3: expected ten vote counts, but got"),
        (votes_text(VOTES).replace(",6,", ",-6,", 1), r"row 3: a vote count must be 0\.\.1000, but got"),
        (votes_text(VOTES).replace(",6,", "," + "9" * 30 + ",", 1), "row 3: a vote count must be"),
        (votes_text(VOTES).replace("Public", "public"), "row 4: Usage must be one of Training, .*got 'publicTest'"),
        (votes_text(VOTES)[:-10], "row 9: expected ten vote counts"),
    ],
)
def test_wrong_votes(tmp_path: Path, both: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_ferplus(both, labels=write_table(tmp_path / "votes.csv", text))


def test_missing_parts(tmp_path: Path, both: Path) -> None:
    with pytest.raises(
        DatasetError, match="ferplus has the protocols majority, plurality, probability, cross-entropy, but got 'max'"
    ):
        read_ferplus(both, protocol="max")
    with pytest.raises(DatasetError, match=r"no file .*nowhere\.csv"):
        read_ferplus(both, labels=tmp_path / "nowhere.csv")
    (tmp_path / "fer2013new.csv").unlink()
    with pytest.raises(DatasetError, match=r"no file .*fer2013new\.csv"):
        read_ferplus(both)
    both.unlink()
    with pytest.raises(DatasetError, match=r"holds no fer2013\.csv: FER\+ follows the row order of the table"):
        read_ferplus(tmp_path)


@pytest.mark.data
def test_the_published_votes(fer2013_dir: Path) -> None:
    """The majority protocol, written a second time with pandas."""
    pandas = pytest.importorskip("pandas")
    path = fer2013_dir / "fer2013new.csv"
    votes = read_votes(read_fer2013(fer2013_dir), path)
    frame = pandas.read_csv(path)
    counts = frame[[*FERPLUS8.emotions, "unknown", "NF"]]
    counts = counts.where(counts > 1, 0)
    clear = (counts.max(axis=1) > counts.sum(axis=1) / 2) & ~counts.idxmax(axis=1).isin(["unknown", "NF"])
    expected = [FERPLUS8.index(name) if keep else -1 for name, keep in zip(counts.idxmax(axis=1), clear, strict=True)]
    assert majority(votes).tolist() == expected
    assert len(votes) == 28_709 + 3_589


@pytest.mark.parametrize("line", [b"0,1 2 3\n", b"0"], ids=["lines", "line"])
def test_a_table_that_unpacks_to_far_too_much_is_rejected(
    line: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.data.fer2013._FREE_BYTES", 1 << 20)
    path = tmp_path / "bomb.csv.xz"
    path.write_bytes(lzma.compress(b"emotion,pixels,Usage\n" + line * (1 << 24), preset=1))
    with (
        pytest.raises(DatasetError, match=r"cannot unpack .*bomb\.csv\.xz: it has more than \d+ MB"),
        open_table(path) as text,
    ):
        for _ in text:
            pass


def test_a_line_without_an_end_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.data.fer2013._LONGEST_LINE", 1 << 20)
    (tmp_path / "a.csv").write_text("x" * (1 << 21))
    with pytest.raises(DatasetError, match="it has a line of more than 1 MB"), open_table(tmp_path / "a.csv") as text:
        next(text)
