from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.data import cache
from mien.data.fer2013 import read_fer2013
from mien.errors import DatasetError, MienWarning


class Reader:
    """Reads a file's bytes, and counts how often."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0

    def __call__(self) -> dict[str, np.ndarray]:
        self.count += 1
        return {"bytes": np.frombuffer(self.path.read_bytes(), dtype=np.uint8), "words": np.array(["a", "bc"])}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    path = tmp_path / "table.csv"
    path.write_bytes(np.random.default_rng(0).bytes(cache.SMALLEST_BYTES))
    return Reader(path)


def read(reader: Reader, **more: Any) -> dict[str, np.ndarray]:
    return cache.cached_arrays(reader.path, read=reader, **{"loader": "made", "version": 1, **more})


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a)


def test_a_hit_is_what_reading_gives(folder: Path, reader: Reader) -> None:
    first, second = read(reader), read(reader)
    assert reader.count == 1
    assert same(first, second)
    assert same(second, reader())
    (entry,) = folder.iterdir()
    assert entry.name.startswith("made-")
    assert folder.stat().st_mode & 0o077 == 0, "images of people are nobody else's business"


@pytest.mark.parametrize("same_size", [True, False])
def test_a_changed_file_is_read_anew(folder: Path, reader: Reader, same_size: bool) -> None:
    read(reader)
    before = reader.path.stat()
    reader.path.write_bytes(b"x" * (before.st_size + (0 if same_size else 1)))
    os.utime(reader.path, ns=(before.st_atime_ns, before.st_mtime_ns + (1000 if same_size else 0)))
    assert read(reader)["bytes"][0] == ord("x")
    assert reader.count == 2
    assert len(list(folder.iterdir())) == 1


def test_another_version_or_loader_reads_anew(folder: Path, reader: Reader) -> None:
    read(reader)
    read(reader, version=2)
    read(reader, loader="other")
    assert reader.count == 3


def test_a_file_that_changes_while_it_is_read_is_not_cached(folder: Path, reader: Reader) -> None:
    def read() -> dict[str, np.ndarray]:
        found = reader()
        reader.path.write_bytes(b"y" * cache.SMALLEST_BYTES * 2)
        return found

    cache.cached_arrays(reader.path, loader="made", version=1, read=read)
    assert not folder.exists()


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "pickle", "foreign"])
def test_a_damaged_entry_is_warned_about_and_made_anew(folder: Path, reader: Reader, damage: str) -> None:
    read(reader)
    (entry,) = folder.iterdir()
    content = entry.read_bytes()
    if damage == "pickle":
        with entry.open("wb") as stream:
            np.savez(stream, stamp=np.array([{"a": 1}], dtype=object))
    elif damage == "foreign":
        np.savez(entry, other=np.zeros(3))
    else:
        entry.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "text": b"hello"}[damage])
    with pytest.warns(MienWarning, match=r"the cached table .*made-.*\.npz is damaged, so the file itself is read"):
        assert same(read(reader), reader())
    assert same(read(reader), reader())
    assert reader.count == 4


def test_set_to_nothing_it_is_off(tmp_path: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.VARIABLE, "")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert cache.cache_folder() is None
    read(reader)
    read(reader)
    assert reader.count == 2
    assert sorted(tmp_path.iterdir()) == before


def test_without_the_variable_it_is_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cache.VARIABLE)
    found = cache.cache_folder()
    assert found is not None
    assert found.name == "mien"


def test_a_folder_that_cannot_be_written_only_warns(
    tmp_path: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "file" / "kept"))
    with pytest.warns(MienWarning) as said:
        assert same(read(reader), reader())
    assert any("cannot cache the table in" in str(w.message) and cache.VARIABLE in str(w.message) for w in said)


def test_a_full_disk_leaves_nothing_behind(folder: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: Any, **_: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.np, "savez", full)
    with pytest.warns(MienWarning, match="No space left on device"):
        read(reader)
    assert list(folder.iterdir()) == []


def test_small_and_missing_files_are_not_cached(folder: Path, reader: Reader) -> None:
    reader.path.write_bytes(b"x" * (cache.SMALLEST_BYTES - 1))
    read(reader)
    assert not folder.exists()
    reader.path.unlink()
    with pytest.raises(FileNotFoundError):
        read(reader)


def test_only_the_newest_entries_stay(folder: Path, reader: Reader, tmp_path: Path) -> None:
    for number in range(10):
        other = Reader(reader.path.rename(tmp_path / f"{number}.csv"))
        read(other)
        reader.path = other.path
        (newest,) = [e for e in folder.iterdir() if e.stat().st_mtime_ns > 10**18]
        os.utime(newest, ns=(number, number))
    assert sorted(e.stat().st_mtime_ns for e in folder.iterdir()) == list(range(2, 10))


def test_a_table_of_images_is_the_same_from_the_cache(folder: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = [" ".join(map(str, generator.integers(0, 256, 2304))) for _ in range(140)]
    table = tmp_path / "fer2013.csv"
    lines = [f"{n % 7},{pixels},{'Training' if n % 3 else 'PublicTest'}" for n, pixels in enumerate(rows)]
    table.write_text("\n".join(["emotion,pixels,Usage", *lines]))
    assert table.stat().st_size > cache.SMALLEST_BYTES
    first, again = read_fer2013(table), read_fer2013(table)
    assert len(list(folder.iterdir())) == 1
    for part in ("images", "labels", "splits", "rows"):
        np.testing.assert_array_equal(getattr(first, part), getattr(again, part))
    np.testing.assert_array_equal(read_fer2013(table, split="PublicTest").images, first.split("PublicTest").images)
    table.write_text("\n".join(["emotion,pixels,Usage", *lines, "9,1 2,Training"]))
    with warnings.catch_warnings(), pytest.raises(DatasetError, match="row 1"):
        read_fer2013(table)


def test_computed_arrays_are_kept_by_all_that_they_depend_on(folder: Path) -> None:
    made: list[str] = []

    def keep(stamp: str) -> dict[str, np.ndarray]:
        def make() -> dict[str, np.ndarray]:
            made.append(stamp)
            return {"x": np.arange(3)}

        return cache.cache_computed("things", stamp, make)

    for stamp in ("one", "one", "other"):
        np.testing.assert_array_equal(keep(stamp)["x"], [0, 1, 2])
    assert made == ["one", "other"]
    assert len(list(folder.glob("things-*.npz"))) == 2


def test_with_the_cache_off_arrays_are_computed_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.VARIABLE, "")
    assert [cache.cache_computed("things", "one", lambda k=k: {"x": np.array(k)})["x"].item() for k in (1, 2)] == [1, 2]
