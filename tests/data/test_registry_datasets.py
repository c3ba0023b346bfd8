from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien import data as datasets
from mien.errors import DatasetError, InputError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        for number, emotion in enumerate(("happy", "sad")):
            (tmp_path / split / emotion).mkdir(parents=True)
            pixels = np.full((8, 8), 50 * number, dtype=np.uint8)
            cv2.imwrite(str(tmp_path / split / emotion / "a.png"), pixels)
    return tmp_path


@pytest.mark.parametrize("name", datasets.DATASETS)
def test_every_data_set_has_its_module_and_one_line(name: str) -> None:
    module = importlib.import_module(f"mien.data.{name}")
    assert next(iter(inspect.signature(module.load).parameters)) == "path"
    assert "split" in inspect.signature(module.load).parameters
    assert "load" in module.__all__
    assert 20 < len(datasets.DATASETS[name]) < 110
    assert "\n" not in datasets.DATASETS[name]
    assert datasets.has_files(name) == hasattr(module, "index")


def test_load_and_index_are_those_of_the_data_set(tree: Path) -> None:
    assert datasets.index("folder", tree).files == (
        "test/happy/a.png",
        "test/sad/a.png",
        "train/happy/a.png",
        "train/sad/a.png",
    )
    told: list[int] = []
    data = datasets.load("folder", tree, split="train", size=8, progress=told.append)
    assert data.files is not None
    assert data.files.tolist() == ["train/happy/a.png", "train/sad/a.png"]
    assert (data.images.shape, sum(told)) == ((2, 8, 8), 2)


def test_unknown_names_list_the_known_ones(tree: Path) -> None:
    for function in (datasets.load, datasets.index):
        with pytest.raises(InputError, match="unknown data set 'fer': expected one of fer2013, ferplus, folder, "):
            function("fer", tree)
    with pytest.raises(InputError, match=r"unknown data set '\.\./x'"):
        datasets.has_files("../x")
    with pytest.raises(InputError, match="unknown data set 'base'"):
        datasets.load("base", tree)


def test_unknown_options_list_the_valid_ones(tree: Path) -> None:
    with pytest.raises(InputError, match=r"data set 'folder' has no option 'protocol': it takes size, problems$"):
        datasets.load("folder", tree, protocol="majority")
    with pytest.raises(InputError, match="data set 'folder' has no option 'size': it takes none"):
        datasets.index("folder", tree, size=3)
    with pytest.raises(InputError, match="data set 'fer2013' has no option 'size': it takes none"):
        datasets.load("fer2013", tree, size=3)


def test_a_table_cannot_be_listed(tree: Path) -> None:
    assert not datasets.has_files("fer2013")
    with pytest.raises(DatasetError, match="fer2013 is a table of images: it has no image files to list"):
        datasets.index("fer2013", tree)
