from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from image_service import KEY, Service, serving
from mien.cli import main

LIMIT = (429, {"message": "Rate limit reached"}, {})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    pytest.importorskip("openai")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with serving() as service:
        yield service


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["data", "extend", *map(str, arguments)])


def ask(server: Service, out: Path, *more: object) -> Result:
    done = run(out, "--emotion", "disgust", "--base-url", server.url, *more)
    assert KEY not in done.output
    return done


def files(table: Path) -> list[str]:
    with table.open(newline="", encoding="utf-8") as stream:
        return [row["file"] for row in csv.DictReader(stream)]


def test_help_says_that_prompts_are_sent_and_cost() -> None:
    text = " ".join(run("--help").stdout.split())
    assert "prompts (words, no images) go to the image service, and each image may cost money" in text
    assert "extend" in CliRunner().invoke(main, ["data", "--help"]).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'OUT'"),
        (("x", "--count", "1"), "Missing option '--emotion'"),
        (("x", "--emotion", "fear"), "Missing option '--count'"),
        (("x", "--emotion", "fear", "--count", "0"), "0 is not in the range"),
        (("x", "--emotion", "fear", "--count", "1", "--limit", "0"), "0 is not in the range"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_dry_run_prints_the_prompts_and_sends_nothing(
    server: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setitem(sys.modules, "openai", None)
    out = tmp_path / "new"
    done = ask(server, out, "--emotion", "scared", "--count", 3, "--limit", 5, "--dry-run")
    assert done.exit_code == 0
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [name for name, _ in lines] == [
        "disgust/generated_0_00001.png",
        "fear/generated_0_00001.png",
        "disgust/generated_0_00002.png",
        "fear/generated_0_00002.png",
        "disgust/generated_0_00003.png",
    ]
    assert all(prompt.startswith("A realistic photograph of one ") for _, prompt in lines)
    assert f"5 requests to {server.url} (gpt-image-1); 6 planned, 0 done before; nothing was sent" in done.stderr
    assert server.bodies == []
    assert not out.exists()


def test_faces_come_into_the_folder_and_the_next_run_goes_on(server: Service, tmp_path: Path) -> None:
    done = ask(server, tmp_path, "--count", 3, "--limit", 2)
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "mien: 2 kept, 0 rejected, 0 failed; 3 planned, 0 done before\n"
    done = ask(server, tmp_path, "--count", 4, "--model", "other", "--size", "512x512")
    assert done.exit_code == 0
    assert done.stderr == "mien: 2 kept, 0 rejected, 0 failed; 4 planned, 2 done before\n"
    assert len(server.bodies) == 4
    assert (server.bodies[-1]["model"], server.bodies[-1]["size"]) == ("other", "512x512")
    assert len(files(tmp_path / "manifest.csv")) == len(list(tmp_path.glob("disgust/*.png"))) == 4
    done = ask(server, tmp_path, "--count", 4)
    assert done.exit_code == 0
    assert len(server.bodies) == 4


def test_rejected_images_are_named_and_are_exit_code_3(server: Service, tmp_path: Path) -> None:
    server.script = ["two", "face"]
    done = ask(server, tmp_path, "--count", 2)
    assert done.exit_code == 3
    first = "mien: disgust/generated_0_00001.png: rejected: 2 faces found, expected one\n"
    assert done.stderr == first + "mien: 1 kept, 1 rejected, 0 failed; 2 planned, 0 done before\n"
    assert files(tmp_path / "rejected.csv") == ["disgust/generated_0_00001.png"]


def test_repeated_limits_stop_with_exit_code_3_and_keep_what_was_done(server: Service, tmp_path: Path) -> None:
    server.script = ["face", *[LIMIT] * 9]
    done = ask(server, tmp_path, "--count", 3)
    assert done.exit_code == 3
    assert "the service says that there are too many requests (429): Rate limit reached; run the same" in done.stderr
    assert done.stderr.endswith("mien: 1 kept, 0 rejected, 0 failed; 3 planned, 0 done before\n")
    assert files(tmp_path / "manifest.csv") == ["disgust/generated_0_00001.png"]


def test_a_wrong_key_is_one_line_and_exit_code_1(server: Service, tmp_path: Path) -> None:
    server.script = [(401, {"message": f"Incorrect API key provided: {KEY}"}, {})]
    done = ask(server, tmp_path, "--count", 3)
    assert done.exit_code == 1
    said = f"mien: {server.url} does not accept the key (401): Incorrect API key provided: ***\n"
    assert (done.stdout, done.stderr) == ("", said)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_key_is_said_before_anything_is_sent(
    server: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = ask(server, tmp_path, "--count", 1, "--api-key-env", "NO_SUCH_KEY")
    assert done.exit_code == 1
    assert done.stderr == (
        "mien: the variable NO_SUCH_KEY must hold the key of the service (any word where it needs none)\n"
    )
    monkeypatch.setenv("MY_KEY", "another")
    assert ask(server, tmp_path, "--count", 1, "--api-key-env", "MY_KEY").exit_code == 0
    assert server.keys == ["Bearer another"]


def test_the_address_comes_from_the_option_alone(
    server: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://example.invalid/v1")
    assert ask(server, tmp_path, "--count", 1).exit_code == 0
    assert len(server.bodies) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
def test_ctrl_c_keeps_what_was_done(server: Service, tmp_path: Path) -> None:
    server.script = ["face", (429, {}, {"retry-after": "60"})]
    words = ["data", "extend", tmp_path, "--emotion", "disgust", "--count", "3", "--base-url", server.url]
    process = subprocess.Popen([sys.executable, "-m", "mien", *words], stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    assert process.stderr is not None
    # Its line about the pause tells that it waits now.
    waiting = process.stderr.readline()
    assert "the service answered 429 (Too Many Requests)" in waiting
    assert time.monotonic() < end
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == "mien: 1 kept, 0 rejected, 0 failed; 3 planned, 0 done before\nmien: interrupted\n"
    assert files(tmp_path / "manifest.csv") == ["disgust/generated_0_00001.png"]
    assert ask(server, tmp_path, "--count", 3).exit_code == 0
    assert len(files(tmp_path / "manifest.csv")) == 3
