from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from face_tables import make_rows, pixels_of, table_text, votes_text, write_table
from mien.data.fer2013 import add_votes, majority, read_fer2013, read_ferplus, read_votes
from mien.errors import DatasetError
from mien.labels import FERPLUS8

USAGES = ["Training", "Training", "PublicTest", "Training", "PrivateTest", "PublicTest", "Training", "Training"]
ROWS = make_rows(USAGES)
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
def table(tmp_path: Path) -> Path:
    write_table(tmp_path / "fer2013new.csv", votes_text(VOTES))
    return write_table(tmp_path / "fer2013.csv", table_text(ROWS))


@pytest.mark.parametrize(("protocol", "column"), [("majority", 1), ("plurality", 2)])
def test_protocols_by_hand(table: Path, protocol: str, column: int) -> None:
    data = read_ferplus(table, protocol=protocol)
    assert data.labels.tolist() == [case[column] for case in CASES]
    assert data.labels.dtype == np.int64
    assert (data.name, data.protocol, data.label_set) == ("ferplus", protocol, FERPLUS8)
    np.testing.assert_array_equal(data.images, pixels_of(ROWS))
    assert len(data.labeled()) == sum(case[column] >= 0 for case in CASES)


@pytest.mark.parametrize("protocol", ["probability", "cross-entropy"])
def test_training_modes_learn_the_votes_and_measure_the_most_voted(table: Path, protocol: str) -> None:
    data = read_ferplus(table, protocol=protocol)
    assert data.protocol == protocol
    assert data.labels.tolist() == [case[2] for case in CASES]
    assert data.distribution is not None
    votes = np.array([case[0] for case in CASES])[:, :8]
    kept = np.where(votes > 1, votes, 0)
    voted = kept.sum(axis=1) > 0
    np.testing.assert_allclose(data.distribution[voted], kept[voted] / kept[voted].sum(axis=1, keepdims=True))
    assert (data.distribution[~voted] == 0).all()
    assert (data.labels[~voted] == -1).all()


def test_majority_is_the_default_and_a_folder_will_do(table: Path) -> None:
    data = read_ferplus(table.parent)
    assert data.protocol == "majority"
    assert data.labels.tolist() == read_ferplus(table, protocol="majority").labels.tolist()


def test_soft_labels_drop_single_votes_unknown_and_no_face(table: Path) -> None:
    p = read_ferplus(table).distribution
    assert p is not None
    assert p.dtype == np.float32
    np.testing.assert_allclose(p[1], [0.4, 0, 0, 0.6, 0, 0, 0, 0])
    np.testing.assert_allclose(p[3], np.eye(8)[5])
    np.testing.assert_allclose(p[6], [0, 0, 4 / 7, 0, 3 / 7, 0, 0, 0], rtol=1e-6)
    assert not p[[5, 7]].any()


def test_columns_are_found_by_name(tmp_path: Path, table: Path) -> None:
    lines = [line.split(",") for line in votes_text(VOTES).splitlines()]
    mixed = "\n".join(",".join(reversed(line)) for line in lines)
    data = read_ferplus(table, labels=write_table(tmp_path / "mixed.csv", mixed))
    assert data.labels.tolist() == [case[1] for case in CASES]


def test_compressed_votes(tmp_path: Path, table: Path) -> None:
    packed = write_table(tmp_path / "votes.csv.xz", votes_text(VOTES))
    assert read_ferplus(table, labels=packed).labels.tolist() == [case[1] for case in CASES]


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


def test_with_votes_keeps_images_and_places(table: Path) -> None:
    images = read_fer2013(table, split="PublicTest")
    data = add_votes(images, table.parent / "fer2013new.csv", protocol="plurality")
    assert data.rows.tolist() == [2, 5]
    assert data.images is images.images
    assert data.labels.tolist() == [0, -1]


def test_votes_for_other_rows_are_refused(tmp_path: Path, table: Path) -> None:
    short = write_table(tmp_path / "short.csv", votes_text(VOTES[:-1]))
    with pytest.raises(DatasetError, match=r"short\.csv has 4 rows of Training, but .*fer2013\.csv has 5: both files"):
        read_ferplus(table, labels=short)
    assert len(read_ferplus(table, labels=short, split="PublicTest")) == 2
    other = write_table(tmp_path / "other.csv", votes_text([v for v in VOTES if v[0] == "Training"]))
    with pytest.raises(DatasetError, match="has 0 rows of PublicTest"):
        read_ferplus(table, labels=other)


def test_shuffled_votes_are_refused(tmp_path: Path) -> None:
    rows = make_rows(["Training"] * 40)
    table = write_table(tmp_path / "fer2013.csv", table_text(rows))
    head, *lines = votes_text([("Training", [10] + 9 * [0])] * 40).splitlines()
    np.random.default_rng(0).shuffle(lines)
    write_table(tmp_path / "fer2013new.csv", "\n".join([head, *lines]))
    with pytest.raises(DatasetError, match="names of Training run backwards: the rows must be in the published order"):
        read_ferplus(table)


def test_votes_without_names_are_taken_in_order(tmp_path: Path, table: Path) -> None:
    nameless = write_table(tmp_path / "nameless.csv", votes_text(VOTES, names=False))
    assert read_ferplus(table, labels=nameless).labels.tolist() == [case[1] for case in CASES]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the column Usage, neutral, .*, NF: it has none"),
        ("Usage,Image name,neutral\n", "lacks the column happiness"),
        (votes_text([]), "has no rows"),
        (votes_text(VOTES).replace(",6,", ",six,", 1), "row 1: expected ten vote counts, but got"),
        (votes_text(VOTES).replace(",6,", ",-6,", 1), r"row 1: a vote count must be 0\.\.1000, but got"),
        (votes_text(VOTES).replace(",6,", "," + "9" * 30 + ",", 1), "row 1: a vote count must be"),
        (votes_text(VOTES).replace("Public", "public"), "row 2: Usage must be one of Training, .*got 'publicTest'"),
        (votes_text(VOTES)[:-10], "row 7: expected ten vote counts"),
    ],
)
def test_wrong_votes(tmp_path: Path, table: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_ferplus(table, labels=write_table(tmp_path / "votes.csv", text))


def test_missing_parts(tmp_path: Path, table: Path) -> None:
    with pytest.raises(
        DatasetError, match="ferplus has the protocols majority, plurality, probability, cross-entropy, but got 'max'"
    ):
        read_ferplus(table, protocol="max")
    with pytest.raises(DatasetError, match=r"no file .*nowhere\.csv"):
        read_ferplus(table, labels=tmp_path / "nowhere.csv")
    (tmp_path / "fer2013new.csv").unlink()
    with pytest.raises(DatasetError, match=r"no file .*fer2013new\.csv"):
        read_ferplus(table)
    table.unlink()
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
