"""What ``mien serve`` refuses before it serves; the service itself is tested in tests/serve."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mien.cli import main


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "at least 16"), ("short", "at least 16"), ("with spaces in between", "no space"), (None, "cannot be read")],
)
def test_a_weak_or_missing_token_is_refused(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / "token").write_text(text)
    done = CliRunner().invoke(main, ["serve", "--token-file", str(tmp_path / "token")])
    assert done.exit_code == 1
    assert words in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--models", "nothing"], "unknown model"),
        (["--models", "face-base"], "speech-emotion"),
        (["--root-path", "x/"], "root_path"),
        (["--max-seconds", "-1"], "max_seconds"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: list[str], words: str) -> None:
    done = CliRunner().invoke(main, ["serve", *options])
    assert done.exit_code == 1
    assert words in done.stderr


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = CliRunner().invoke(main, ["serve"])
    assert done.exit_code == 1
    assert 'pip install "mien[serve]"' in done.stderr
