"""From arguments to files."""

from __future__ import annotations

import os
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mien.errors import MediaNotFoundError
from mien.io.paths import format_path, iter_media_paths


def image_paths(paths: Any) -> Iterator[str]:
    return iter_media_paths(paths, kinds=("image",))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "b.jpg",
        "a.PNG",
        "notes.txt",
        ".hidden.jpg",
        "sub/c.webp",
        "sub/deep/d.tiff",
        ".git/e.jpg",
        "f/g.dat",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    return tmp_path


def names(found: list[str], root: Path) -> list[str]:
    return [Path(path).relative_to(root).as_posix() for path in found]


def test_folder_is_walked_in_order_without_hidden_and_other_files(tree: Path) -> None:
    assert names(list(image_paths([str(tree)])), tree) == ["a.PNG", "b.jpg", "sub/c.webp", "sub/deep/d.tiff"]


def test_named_file_is_taken_whatever_its_suffix(tree: Path) -> None:
    assert names(list(image_paths([tree / "notes.txt", str(tree / ".hidden.jpg")])), tree) == [
        "notes.txt",
        ".hidden.jpg",
    ]


def test_patterns(tree: Path) -> None:
    assert names(list(image_paths([str(tree / "*.jpg")])), tree) == ["b.jpg"]
    assert names(list(image_paths([str(tree / "*")])), tree) == ["a.PNG", "b.jpg", "sub/c.webp", "sub/deep/d.tiff"]
    assert names(list(image_paths([str(tree / "**" / "*")])), tree) == [
        "a.PNG",
        "b.jpg",
        "sub/c.webp",
        "sub/deep/d.tiff",
    ]
    assert names(list(image_paths([str(tree / "?" / "*.dat")])), tree) == ["f/g.dat"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    odd = tmp_path / "face[1].jpg"
    odd.write_bytes(b"")
    (tmp_path / "face1.jpg").write_bytes(b"")
    assert list(image_paths([str(odd)])) == [str(odd)]


def test_errors_name_the_argument(tree: Path) -> None:
    with pytest.raises(MediaNotFoundError, match=r"no such file or folder: .*missing") as caught:
        list(image_paths([str(tree / "missing.jpg")]))
    assert caught.value.path == tree / "missing.jpg"
    with pytest.raises(MediaNotFoundError, match=r"no image in the folder .*expected files that end in .*.jpg"):
        list(image_paths([str(tree / "f")]))
    with pytest.raises(MediaNotFoundError, match="nothing matches the pattern"):
        list(image_paths([str(tree / "*.bmp")]))
    for bad in ("", "x\0y", "x" * 5000):
        with pytest.raises(MediaNotFoundError, match="no such file or folder"):
            list(image_paths([bad]))


def test_folders_are_searched_for_all_kinds(tree: Path) -> None:
    for name in ("film.MP4", "talk.wav"):
        (tree / name).touch()
    assert names(list(iter_media_paths([tree])), tree) == [
        "a.PNG", "b.jpg", "film.MP4", "sub/c.webp", "sub/deep/d.tiff", "talk.wav",
    ]  # fmt: skip
    assert names(list(iter_media_paths([tree], kinds=("audio", "video"))), tree) == ["film.MP4", "talk.wav"]
    with pytest.raises(MediaNotFoundError, match="no image, video or audio file in the folder"):
        list(iter_media_paths([tree / "f"]))


def test_walk_is_lazy(tree: Path) -> None:
    paths = image_paths([str(tree), str(tree / "missing")])
    assert Path(next(paths)).name == "a.PNG"


def test_only_the_names_of_one_folder_are_held(tmp_path: Path) -> None:
    for folder in range(40):
        (tmp_path / f"{folder:02}").mkdir()
        for file in range(50):
            (tmp_path / f"{folder:02}" / f"{'long name ' * 10}{file}.jpg").touch()
    tracemalloc.start()
    try:
        assert sum(1 for _ in image_paths([tmp_path])) == 2000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Fifty names of 150 bytes are 8 kB, two thousand 300 kB.
    assert peak < 100_000


def test_linked_folders_do_not_make_the_walk_endless(tree: Path) -> None:
    try:
        (tree / "sub" / "loop").symlink_to(tree, target_is_directory=True)
        (tree / "link.jpg").symlink_to(tree / "b.jpg")
        (tree / "album.jpg").symlink_to(tree / "sub", target_is_directory=True)
        (tree / "self.jpg").symlink_to("self.jpg")
    except OSError:
        pytest.skip("this system makes no links")
    found = names(list(image_paths([str(tree)])), tree)
    assert found == ["a.PNG", "b.jpg", "link.jpg", "self.jpg", "sub/c.webp", "sub/deep/d.tiff"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the administrator may read everything")
def test_unreadable_folder_inside_is_yielded(tree: Path) -> None:
    (tree / "sub").chmod(0)
    try:
        assert names(list(image_paths([str(tree)])), tree) == ["a.PNG", "b.jpg", "sub"]
    finally:
        (tree / "sub").chmod(0o755)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse names that are not UTF-8")
def test_names_with_undecodable_bytes_and_line_breaks(tmp_path: Path) -> None:
    for name in (b"\xff\xfe.jpg", b"zwei\nZeilen.jpg", "смех 😀.jpg".encode()):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"")
    found = list(image_paths([tmp_path]))
    assert len(found) == 3
    assert all(Path(path).exists() for path in found)
    assert all("\n" not in format_path(path) and format_path(path).encode() for path in found)


def test_format_path() -> None:
    assert format_path("ü b.jpg") == "ü b.jpg"
    assert format_path("a\nb") == "'a\\nb'"
    assert format_path("\udcff") == "'\\udcff'"
    assert format_path("") == "''"
    assert format_path(Path("x")) == "x"


def test_the_content_of_a_file_without_a_suffix_says_what_it_is(tree: Path) -> None:
    (tree / "scan").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tree / "README").write_bytes(b"text")
    (tree / "new.HEIC").touch()
    skipped: list[str] = []
    found = names(list(iter_media_paths([tree], kinds=("image",), on_skipped=skipped.append)), tree)
    assert found == ["a.PNG", "b.jpg", "new.HEIC", "scan", "sub/c.webp", "sub/deep/d.tiff"]
    assert sorted(names(skipped, tree)) == ["README", "f/g.dat", "notes.txt"]
    skipped.clear()
    assert names(list(iter_media_paths([str(tree / "s*")], on_skipped=skipped.append)), tree)[0] == "scan"
    assert skipped == []
    with pytest.raises(MediaNotFoundError, match=r"no image.* among what matches the pattern .* \(2 skipped\)"):
        list(iter_media_paths([str(tree / "[nR]*[tE]")]))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_without_a_suffix_is_not_opened(tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    assert "pipe" not in names(list(iter_media_paths([tree])), tree)
