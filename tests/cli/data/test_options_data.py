from __future__ import annotations

from pathlib import Path

import click
import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from face_tables import make_rows, table_text, write_table
from mien.cli.data.options import Choice, choose, dataset_arguments, open_images, open_samples
from mien.data import Samples
from mien.errors import DatasetError, InputError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        for emotion in ("happy", "sad"):
            (tmp_path / split / emotion).mkdir(parents=True)
            cv2.imwrite(str(tmp_path / split / emotion / "a.png"), np.zeros((8, 8), dtype=np.uint8))
    return tmp_path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "fer2013.csv", table_text(make_rows(["Training"] * 3)))


def test_a_name_needs_its_path(tree: Path) -> None:
    assert choose("folder", tree) == Choice("folder", tree)
    assert choose("folder", tree, split="train").split == "train"
    with pytest.raises(click.UsageError, match="--data must say where folder lies"):
        choose("folder")


def test_a_path_tells_the_data_set(tree: Path, table: Path) -> None:
    assert choose(str(tree)) == Choice("folder", tree)
    assert choose(str(table)) == Choice("fer2013", table)
    (tree / "faces.PARQUET").write_bytes(b"")
    assert choose(str(tree / "faces.PARQUET")).name == "table"
    with pytest.raises(click.UsageError, match=r"unknown dataset 'nowhere': expected fer2013, ferplus, .*, or a path"):
        choose("nowhere")
    with pytest.raises(click.UsageError, match="unknown dataset"):
        choose(str(tree), tree)


def test_options_are_values(tree: Path) -> None:
    pairs = ("size=32", "share=0.5", "neutral-first=True", "quiet=false", "mode= a b ", "of=a=b", "empty=")
    chosen = choose("folder", tree, labels=tree / "x.csv", protocol="plurality", pairs=pairs)
    assert chosen.options == {
        "size": 32,
        "share": 0.5,
        "neutral_first": True,
        "quiet": False,
        "mode": "a b",
        "of": "a=b",
        "empty": "",
        "labels": tree / "x.csv",
        "protocol": "plurality",
    }
    assert type(chosen.options["size"]) is int


@pytest.mark.parametrize("pair", ["size", "=3", " =3", ""])
def test_an_option_without_a_key_or_value_is_wrong_usage(tree: Path, pair: str) -> None:
    with pytest.raises(click.UsageError, match="--option must be key=value, but got"):
        choose("folder", tree, pairs=(pair,))


def invoke(*arguments: object) -> tuple[Result, list[tuple[Choice, bool]]]:
    got: list[tuple[Choice, bool]] = []

    @click.command()
    @dataset_arguments("image")
    @click.option("--loud", is_flag=True)
    def command(choice: Choice, loud: bool) -> None:
        """Say what this does."""
        got.append((choice, loud))

    return CliRunner().invoke(command, [str(word) for word in arguments]), got


def test_a_command_gets_one_choice_and_its_own_options(tree: Path) -> None:
    done, got = invoke("folder", "--data", tree, "--split", "test", "--option", "size=8", "--loud")
    assert done.exit_code == 0
    assert got == [(Choice("folder", tree, "test", {"size": 8}), True)]
    wrong, got = invoke("folder")
    assert (wrong.exit_code, got) == (2, [])
    text = invoke("--help")[0].stdout
    assert "Say what this does." in text
    for word in ("NAME|PATH", "--data", "--split", "--labels", "--protocol", "--option", "--loud"):
        assert word in text


def test_faces_have_the_size_asked_for_where_that_can_be(
    tree: Path, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert open_images(Choice("folder", tree)).images.shape == (4, 48, 48)
    assert open_images(Choice("folder", tree, "train"), size=16).images.shape == (2, 16, 16)
    assert open_images(Choice("fer2013", table), size=16).images.shape == (3, 48, 48)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [f"mien: reading {tree}"] * 2 + [f"mien: reading {table}"]


def test_images_are_listed_and_tables_read(tree: Path, table: Path) -> None:
    assert isinstance(open_samples(Choice("folder", tree)), Samples)
    part = open_samples(Choice("folder", tree, "test"))
    assert set(part.splits) == {"test"}
    assert len(part) == 2
    assert isinstance(open_samples(Choice("fer2013", table)), Samples)
    with pytest.raises(DatasetError, match=r"has no split 'val': it has test, train"):
        open_samples(Choice("folder", tree, "val"))
    with pytest.raises(InputError, match="dataset 'folder' has no option 'mode'"):
        open_samples(Choice("folder", tree, options={"mode": 1}))
