from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("resource")

from mien.errors import DatasetError  # noqa: E402
from mien.train.checkpoints import WholeCheckpoints  # noqa: E402

FULL = """
import resource, signal, sys
import torch
from mien.errors import DatasetError
from mien.train.checkpoints import WholeCheckpoints

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # as a full disk: writing fails in the middle
try:
    WholeCheckpoints().save_checkpoint({"values": torch.zeros(1_000_000)}, sys.argv[1])
except DatasetError as error:
    print(error)
"""


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"values": torch.arange(5)}, path)
    assert torch.load(path, weights_only=True)["values"].tolist() == [0, 1, 2, 3, 4]
    assert [p.name for p in path.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("before", [True, False])
def test_a_full_disk_leaves_the_old_one(tmp_path: Path, before: bool) -> None:
    path = tmp_path / "last.ckpt"
    if before:
        WholeCheckpoints().save_checkpoint({"values": torch.arange(5)}, path)
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=False)
    assert f"cannot save the checkpoint {path}: " in done.stdout, done.stderr
    assert ("the one before is unharmed" if before else "there is none before it") in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"] * before
    if before:
        assert torch.load(path, weights_only=True)["values"].tolist() == [0, 1, 2, 3, 4]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="cannot save the checkpoint"):
        WholeCheckpoints().save_checkpoint({}, tmp_path / "file" / "last.ckpt")
