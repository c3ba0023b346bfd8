from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from face_tables import VOTES, make_rows, table_samples, table_text, votes_text, write_table
from mien.data import Samples
from mien.data.audit import KINDS, Audit, audit, pair_sheet, write_json
from mien.data.baum2 import list_baum2_frames
from mien.data.fer2013 import read_fer2013, read_ferplus, voted_no_face
from mien.data.samples import Row
from mien.errors import DatasetError, InputError
from mien.labels import FER7, FERPLUS8
from mien.samples import astronaut_path

Images = NDArray[np.uint8]


def make_images(n: int, seed: int = 0) -> Images:
    """Make different images; the first ones are the same for every n."""
    noise = np.random.default_rng(seed).normal(0, 1, (n, 48, 48)).astype(np.float32)
    blurred = [cv2.GaussianBlur(p, (0, 0), 1.5) for p in noise]
    return np.array([np.clip(128 + 50 * p / p.std(), 0, 255) for p in blurred], np.uint8).reshape(n, 48, 48)


def faces(images: Images, splits: str = "", labels: list[int] | None = None, **parts: Any) -> Samples:
    """Make face data; ``splits`` has a letter for each image, a blank for none."""
    n = len(images)
    names = {"T": "train", "V": "val", " ": ""}
    return table_samples(
        images,
        np.array(labels if labels is not None else [0] * n, dtype=np.int64),
        source="made.csv",
        split=[names[s] for s in splits.ljust(n)],
        rows=np.arange(100, 100 + n),
        **parts,
    )


def listed_images(root: Path, rows: list[Row], problems: Sequence[str] = ()) -> Samples:
    return Samples.from_rows(rows, name="made", kind="image", source=root, label_set=FER7, problems=problems)


def rows_of(found: Audit, kind: str) -> list[list[int]]:
    return [[item.row for item in group.items] for group in found.finding(kind).groups]


def test_clean_data_is_clean() -> None:
    found = audit(faces(make_images(30), "T" * 20 + "V" * 10, subject=[f"s{i // 10}" for i in range(30)]))
    assert (found.leaks, found.images, found.between, found.problems) == (0, 30, (), ())
    assert found.sides == ("train", "val")
    assert all(not finding.groups for finding in found.findings)
    assert [finding.kind for finding in found.findings] == [k for k in KINDS if k not in ("voted_no_face", "no_face")]
    with pytest.raises(FrozenInstanceError):
        found.images = 3  # type: ignore[misc]


def test_identical_images_leak_only_between_splits() -> None:
    images = make_images(8)
    images[3] = images[0]  # within train
    images[6] = images[7] = images[1]  # train and val
    found = audit(faces(images, "TTTTTVVV", labels=[0, 1, 2, 0, 4, 5, -1, 3]))
    assert rows_of(found, "identical") == [[100, 103], [101, 106, 107]]
    assert [group.leak for group in found.finding("identical").groups] == [False, True]
    assert found.leaks == found.finding("identical").leaks == 1
    assert found.between == (("identical", "train", "val", 1), ("identical", "val", "train", 2))
    group = found.finding("identical").groups[1]
    assert (group.splits, group.emotions) == (("train", "val"), ("disgust", "happiness"))
    assert group.items[0].where == "made.csv, row 103"
    # A missing label is no conflict, and a conflict is no leak of its own.
    assert rows_of(found, "conflict") == [[101, 106, 107]]
    assert found.finding("identical").differing == 1


def test_near_copies_come_in_groups_with_their_identical_ones() -> None:
    images = make_images(10)
    images[4] = np.clip(images[0] * 0.7 + 50, 0, 255)
    images[5] = images[0]
    images[9] = images[4][:, ::-1]
    images[8] = cv2.imdecode(cv2.imencode(".jpg", images[2], [cv2.IMWRITE_JPEG_QUALITY, 50])[1], cv2.IMREAD_GRAYSCALE)
    data = faces(images, "TTTTTTTTTV")
    found = audit(data)
    assert rows_of(found, "near") == [[100, 104, 105, 109], [102, 108]]
    assert [group.leak for group in found.finding("near").groups] == [True, False]
    assert found.finding("near").groups[0].note.endswith(", mirrored")
    assert 0.9 <= float(found.finding("near").groups[1].note.split()[1]) < 1
    assert found.between == (("near", "train", "val", 3), ("near", "val", "train", 1))
    quick = audit(data, near=False)
    assert "near" not in [finding.kind for finding in quick.findings]
    assert (quick.leaks, rows_of(quick, "near")) == (0, [])


def test_subjects_and_clips_on_both_sides() -> None:
    subjects = ["a", "a", "b", "b", "", "", "c", "c"]
    clips = ["a1", "a2", "b1", "b1", "", "", "c1", "c1"]
    found = audit(faces(make_images(8), "TTTVTV T", subject=subjects, clip=clips))
    assert [(g.note, [i.row for i in g.items]) for g in found.finding("subject").groups] == [("b", [102, 103])]
    assert [(g.note, [i.row for i in g.items]) for g in found.finding("clip").groups] == [("b1", [102, 103])]
    assert found.leaks == 2
    assert ("subject", "train", "val", 1) in found.between


def test_empty_images_are_no_near_copies_of_each_other() -> None:
    images = make_images(5)
    images[1], images[3] = 0, 0
    images[4] = 200 + (np.indices((48, 48)).sum(axis=0) % 2)
    found = audit(faces(images, "TTTVV"))
    assert rows_of(found, "flat") == [[101], [103], [104]]
    assert rows_of(found, "near") == []
    assert rows_of(found, "identical") == [[101, 103]]


def test_other_data_sets_are_other_sides() -> None:
    images = make_images(12)
    mine = faces(images[:6], "TTTTVV", subject=["p1"] * 6)
    other = faces(images[5:9], "TTTT", subject=["p1"] * 4, name="other")
    twin = faces(images[9:], "", subject=["p1", "", ""])
    found = audit(mine, against=[other, twin])
    assert found.data == ("made", "other", "made #2")
    assert found.sides == ("made: train", "made: val", "other: train", "made #2")
    assert [(i.data, i.row) for i in found.finding("identical").groups[0].items] == [("made", 105), ("other", 100)]
    assert ("identical", "made: val", "other: train", 1) in found.between
    # A name means the same person only where the data sets are of one name.
    assert {item.data for item in found.finding("subject").groups[0].items} == {"made", "made #2"}
    assert ("subject", "made #2", "made: train", 1) in found.between


@pytest.fixture
def files(tmp_path: Path) -> Samples:
    """Files: an image, its copies as gray and color PNG, three that are none, a missing one, a name with a line."""
    images = make_images(3)
    names = ["a.png", "b.png", "cut.png", "text.png", "empty.png", "gone.png", "odd\nname ü.png"]
    for name, image in zip((names[0], names[1], names[6]), images, strict=True):
        cv2.imwrite(str(tmp_path / name), image)
    cv2.imwrite(str(tmp_path / "c.png"), cv2.cvtColor(images[0], cv2.COLOR_GRAY2BGR))
    (tmp_path / "cut.png").write_bytes((tmp_path / "b.png").read_bytes()[:-500])
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty.png").touch()
    found = [Row(name, "fear", split="train") for name in names] + [Row("c.png", "anger", split="test")]
    return Samples.from_rows(
        found, name="made", kind="image", source=tmp_path, label_set=FER7, problems=["left out: notes.txt"]
    )


@pytest.mark.parametrize("threads", [1, 3])
def test_unreadable_files_are_told_and_stop_nothing(files: Samples, threads: int) -> None:
    found = audit(files, threads=threads)
    unreadable = found.finding("unreadable")
    assert [group.items[0].file for group in unreadable.groups] == ["cut.png", "text.png", "empty.png", "gone.png"]
    assert "cut.png: the file is truncated" in unreadable.groups[0].note
    assert found.problems == ("left out: notes.txt",)
    # The same pixels in one and in three channels are the same image.
    assert [i.file for i in found.finding("identical").groups[0].items] == ["a.png", "c.png"]
    assert (found.leaks, found.finding("conflict").groups[0].emotions) == (1, ("fear", "anger"))


def test_a_table_and_files_share_images(files: Samples) -> None:
    found = audit(faces(make_images(1), "T"), against=[files])
    assert [item.file for item in found.finding("identical").groups[0].items] == ["", "a.png", "c.png"]


def test_nothing_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"made\.csv has no images"):
        audit(faces(make_images(0)))
    bad = Samples.from_rows(
        [Row("x.png", "fear")], name="made", kind="image", source=tmp_path, label_set=FER7, problems=[]
    )
    with pytest.raises(DatasetError, match=r"none of the 1 images of .* can be read: .*x\.png"):
        audit(bad)
    with pytest.raises(InputError, match=r"no_faces must be bool of shape \(2,\), but got int64 of shape \(3,\)"):
        audit(faces(make_images(2)), no_faces=np.zeros(3, np.int64))  # type: ignore[arg-type]


def test_votes_for_no_face(tmp_path: Path) -> None:
    usages = ["Training", "Training", "PublicTest", "Training"]
    table = write_table(tmp_path / "fer2013.csv", table_text(make_rows(usages)))
    none = dict.fromkeys(VOTES, 0)
    votes = [{"NF": 10}, {"neutral": 5, "NF": 5}, {"fear": 1, "unknown": 4, "NF": 5}, {"fear": 10}]
    text = votes_text([(u, list({**none, **v}.values())) for u, v in zip(usages, votes, strict=True)])
    write_table(tmp_path / "fer2013new.csv", text)
    data = read_ferplus(table)
    mask = voted_no_face(data, tmp_path / "fer2013new.csv")
    assert mask.tolist() == [True, False, True, False]
    assert rows_of(audit(data, no_faces=mask), "voted_no_face") == [[0], [2]]
    assert voted_no_face(data.split("PublicTest"), tmp_path / "fer2013new.csv").tolist() == [True]
    with pytest.raises(DatasetError, match=r"fer2013new\.csv has 3 rows of Training, but .* has 2"):
        voted_no_face(data.take(np.array([0, 1])), tmp_path / "fer2013new.csv")


def test_images_without_a_face(tmp_path: Path) -> None:
    photo = cv2.imread(str(astronaut_path()))
    assert photo is not None
    head = photo[0 : photo.shape[0] * 2 // 5, photo.shape[1] // 4 : photo.shape[1] * 3 // 5]
    side = min(head.shape[:2])
    small = cv2.resize(cv2.cvtColor(head[:side, :side], cv2.COLOR_BGR2GRAY), (48, 48), interpolation=cv2.INTER_AREA)
    told: list[tuple[str, int, int]] = []
    data = faces(np.stack([small, make_images(1)[0], small[:, ::-1]]))
    found = audit(data, faces=True, threads=2, progress=lambda *step: told.append(step))
    assert rows_of(found, "no_face") == [[101]]
    assert [sum(count for what, count, _ in told if what == kind) for kind in ("reading", "looking for faces")] == [
        3,
        3,
    ]
    cv2.imwrite(str(tmp_path / "photo.png"), photo)
    cv2.imwrite(str(tmp_path / "strip.png"), np.full((1, 3000), 9, np.uint8))
    (tmp_path / "bad.png").touch()
    names = [Row(name, "fear") for name in ("photo.png", "bad.png", "strip.png")]
    listed = audit(listed_images(tmp_path, names), faces=True)
    assert [group.items[0].file for group in listed.finding("no_face").groups] == ["strip.png"]


def test_the_work_is_spread_over_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    meet = threading.Barrier(3, timeout=20)

    class Detector:
        def detect(self, _: object) -> list[int]:
            seen.add(threading.get_ident())
            meet.wait()
            return [1]

    monkeypatch.setattr("mien.data.audit.get_detector", lambda **_: Detector())
    assert not audit(faces(make_images(6)), faces=True, threads=3).finding("no_face").groups
    assert len(seen) == 3


def test_json_holds_everything(tmp_path: Path) -> None:
    images = make_images(4)
    images[3] = images[0]
    found = audit(faces(images, "TTTV", labels=[0, 0, 0, 6]))
    write_json(found, tmp_path / "audit.json")
    read = json.loads((tmp_path / "audit.json").read_text("utf-8"))
    assert read == json.loads(json.dumps(found.to_dict()))
    assert (read["images"], read["leaks"], read["data"]) == (4, 1, ["made"])
    assert read["thresholds"] == {"correlation": 0.9, "detail_correlation": 0.65, "flat_deviation": 2.0}
    group = read["findings"]["identical"]["groups"][0]
    assert (group["leak"], group["splits"], group["emotions"]) == (True, ["train", "val"], ["anger", "neutral"])
    assert [item["where"] for item in group["items"]] == ["made.csv, row 102", "made.csv, row 105"]
    assert read["between"][0] == {"kind": "identical", "split": "train", "other": "val", "images": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["audit.json"]
    odd = audit(faces(images, "TTTV", files=["a", "b", "c", '\udcff\n"ü.png']))
    write_json(odd, tmp_path / "audit.json")  # a name that is no UTF-8
    read = json.loads((tmp_path / "audit.json").read_text("utf-8"))
    assert read["findings"]["identical"]["groups"][0]["items"][1]["file"] == '\udcff\n"ü.png'
    with pytest.raises(DatasetError, match=r"cannot write .*nowhere.*: No such file"):
        write_json(found, tmp_path / "nowhere" / "audit.json")


def test_the_sheet_shows_leaks_first(files: Samples) -> None:
    images = make_images(6)
    images[1] = images[0]
    images[5] = images[2]
    images[4] = np.clip(images[3] * 0.8 + 20, 0, 255)
    data = faces(images, "TTTTTV")
    found = audit(data, against=[files])
    page = pair_sheet(found, [data, files])
    assert (page.ndim, page.dtype) == (3, np.uint8)
    one = pair_sheet(found, [data, files], most=1, cell=48)
    # `most` of one leaves room for one pair: two squares of 48.
    assert one.shape[1] < 2 * 48 + 80
    shown = [one[y : y + 48, x : x + 48, 0] for y in range(one.shape[0] - 47) for x in range(one.shape[1] - 47)]
    assert sum((square == images[0]).all() for square in shown) == 2  # in train and in a file of the other
    clean = audit(faces(make_images(3)))
    with pytest.raises(DatasetError, match="made has no copies to draw"):
        pair_sheet(clean, [faces(make_images(3))])


@pytest.mark.data
def test_what_is_known_of_fer2013(fer2013_dir: Path) -> None:
    data = read_fer2013(fer2013_dir / "fer2013.csv.xz")
    found = audit(data)
    between = {(kind, first, second): count for kind, first, second, count in found.between}
    assert between["identical", "PublicTest", "Training"] == 280
    assert 1100 <= len(found.finding("identical").groups) <= 1300
    assert found.finding("flat").images == 13
    # Every pixel is compared here: the number is that of sorting the rows.
    _, counts = np.unique(data.images.reshape(len(data), -1), axis=0, return_counts=True)
    assert sorted(counts[counts > 1]) == sorted(len(group.items) for group in found.finding("identical").groups)
    assert found.leaks > 400


@pytest.mark.data
def test_one_percent_of_fer2013_was_voted_no_face(fer2013_dir: Path) -> None:
    data = read_ferplus(fer2013_dir / "fer2013.csv.xz")
    mask = voted_no_face(data, fer2013_dir / "fer2013new.csv")
    assert data.label_set == FERPLUS8
    assert 100 < mask.sum() < 400
    assert (data.labels[mask] == -1).all()


@pytest.mark.data
def test_frames_of_a_clip_are_near_copies(data_dir: Path) -> None:
    found = audit(list_baum2_frames(data_dir / "baum2_frames"))
    assert (found.leaks, found.sides) == (0, ("",))
    assert found.finding("near").images > 0.5 * found.images
    within = [len({item.subject for item in group.items}) == 1 for group in found.finding("near").groups]
    assert np.mean(within) > 0.99
