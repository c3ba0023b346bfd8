from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from mien._extras import import_extra
from mien.errors import MissingExtraError


def test_an_installed_module_is_returned() -> None:
    assert import_extra("json", extra="x", purpose="a test") is json
    assert import_extra("json.decoder", extra="x", purpose="a test") is json.decoder


@pytest.mark.parametrize("module", ["no_such_package_of_mien", "no_such_package_of_mien.part"])
def test_a_missing_package_names_the_extra(module: str) -> None:
    message = r'^training needs no_such_package_of_mien: pip install "mien\[train\]"$'
    with pytest.raises(MissingExtraError, match=message) as caught:
        import_extra(module, extra="train", purpose="training")
    assert caught.value.name == module
    assert isinstance(caught.value, ImportError)


def test_a_broken_package_is_not_called_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mien_test_broken.py").write_text("import mien_test_missing_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mien_test_broken", raising=False)
    with pytest.raises(ModuleNotFoundError, match="mien_test_missing_dependency") as caught:
        import_extra("mien_test_broken", extra="x", purpose="a test")
    assert not isinstance(caught.value, MissingExtraError)
