"""The optional detector, where its file is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mien.models import registry, store


@pytest.fixture(scope="module")
def yunet_there(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Put the file of YuNet from the data folder where ``mien models get`` puts it, and return it; or skip."""
    file = data_dir / "models" / registry.get("yunet").file().file
    if not file.is_file():
        pytest.skip(f"no {file}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIEN_CACHE_DIR", str(tmp_path_factory.mktemp("optional")))
        spec = registry.get("yunet")
        store.install(spec, file)
        yield spec.path.parent / spec.file().file
