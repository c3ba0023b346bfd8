from __future__ import annotations

import inspect
import pickle
from pathlib import Path

import pytest

from mien import errors

TREE = {
    errors.MienError: Exception,
    errors.InputError: errors.MienError,
    errors.MediaError: errors.MienError,
    errors.MediaNotFoundError: errors.MediaError,
    errors.UnsupportedMediaError: errors.MediaError,
    errors.DecodeError: errors.MediaError,
    errors.ModelError: errors.MienError,
    errors.UnknownModelError: errors.ModelError,
    errors.WeightsError: errors.ModelError,
    errors.DatasetError: errors.MienError,
    errors.MissingExtraError: errors.MienError,
    errors.MienWarning: UserWarning,
}


def test_the_tree_is_whole() -> None:
    own = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__}
    assert own == set(TREE)
    assert {kind.__name__ for kind in TREE} == set(errors.__all__)


@pytest.mark.parametrize(("kind", "base"), TREE.items())
def test_every_error_stands_where_the_tree_says(kind: type[Exception], base: type[Exception]) -> None:
    assert kind.__bases__[0] is base


def test_errors_are_also_what_python_calls_them() -> None:
    assert issubclass(errors.InputError, ValueError)
    assert issubclass(errors.MissingExtraError, ImportError)


@pytest.mark.parametrize("kind", [k for k in TREE if issubclass(k, errors.MediaError)])
@pytest.mark.parametrize("path", ["a.jpg", Path("a.jpg"), None])
def test_media_errors_carry_their_path(kind: type[errors.MediaError], path: str | Path | None) -> None:
    error = kind("expected this, but got that", path=path)
    assert str(error) == "expected this, but got that"
    assert error.path == (None if path is None else Path("a.jpg"))


def test_a_media_error_survives_a_process_boundary() -> None:
    error = pickle.loads(pickle.dumps(errors.DecodeError("broken", path="a.jpg")))
    assert isinstance(error, errors.DecodeError)
    assert (str(error), error.path) == ("broken", Path("a.jpg"))


def test_a_message_is_one_printable_line() -> None:
    error = errors.DatasetError("no file a\nb\x00\x1b[31m é.csv")
    assert str(error) == "no file a\\nb\\x00\\x1b[31m é.csv"
    assert str(errors.MediaError("plain", path="x")) == "plain"


def test_a_message_has_a_bounded_length() -> None:
    text = str(errors.InputError(f"first {'x' * 100_000} last"))
    assert len(text) <= 1000
    assert text.startswith("first x")
    assert text.endswith("x last")
