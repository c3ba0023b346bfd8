"""The container: what its file says, and its steps in a fresh folder where there is no container engine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

from mien.cli import main

ROOT = Path(__file__).resolve().parents[2]
KNOWN = {"FROM", "WORKDIR", "RUN", "COPY", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT"}


def steps() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in text.splitlines() if line.strip())]


def last(name: str) -> str:
    return [rest for step, rest in steps() if step == name][-1]


def test_the_dockerfile_keeps_the_rules_of_good_ones() -> None:
    found = steps()
    assert {name for name, _ in found} <= KNOWN
    for name, rest in found:
        if name == "FROM":
            assert re.match(r"python:3\.\d+-slim( |$)", rest), "an image without a version"
        if name == "RUN" and "pip install" in rest:
            assert "--no-cache-dir" in rest
        assert "sudo" not in rest
        assert name != "ADD"
    names = [name for name, _ in found]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert int(last("USER")) >= 10_000
    for name in ("ENTRYPOINT", "VOLUME"):
        assert isinstance(json.loads(last(name)), list)


def test_what_is_copied_is_there_and_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    for name, rest in steps():
        if name == "COPY" and not rest.startswith("--from"):
            for path in rest.split()[:-1]:
                assert (ROOT / path).exists()
                assert path in kept


def test_the_entry_point_is_a_command_that_there_is() -> None:
    words = json.loads(last("ENTRYPOINT"))
    assert words[0] == "mien"
    command = main.get_command(main.make_context("mien", ["--help"], resilient_parsing=True), words[1])
    assert command is not None
    given = command.make_context(words[1], [*words[2:], "--token-file", "/run/secrets/token"]).params
    assert (given["host"], given["port"], str(given["jobs_folder"])) == ("0.0.0.0", 8000, "/jobs")


def test_the_health_check_fails_where_nothing_answers() -> None:
    words = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    code = words[2].replace(":8000", ":9")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 1


def test_compose_runs_it_read_only_and_without_privileges() -> None:
    found = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    mien = found["services"]["mien"]
    assert mien["read_only"] is True
    assert mien["cap_drop"] == ["ALL"]
    assert mien["ports"] == ["127.0.0.1:8000:8000"]
    assert "jobs:/jobs" in mien["volumes"]
    scrape = yaml.safe_load(found["configs"]["prometheus"]["content"])["scrape_configs"][0]
    assert scrape["static_configs"] == [{"targets": ["mien:8000"]}]
