from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from image_service import KEY, Service, image, serving
from mien.data.prepare.extend import FACTORS, ImageService, Outcome, ServiceError, design, extend, pending, plan
from mien.errors import DatasetError, InputError, MissingExtraError

Make = Callable[..., ImageService]


@pytest.fixture
def server() -> Iterator[Service]:
    pytest.importorskip("openai")
    with serving() as service:
        yield service


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the pauses between attempts, which are noted instead of waited."""
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


@pytest.fixture
def client(server: Service, pauses: list[float]) -> Iterator[Make]:
    made: list[ImageService] = []

    def make(**options: Any) -> ImageService:
        made.append(ImageService(KEY, base_url=server.url, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def statuses(outcomes: list[Outcome]) -> list[str]:
    return [outcome.status for outcome in outcomes]


# --- whom to ask for --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_the_design_is_balanced_at_any_length(seed: int) -> None:
    rows = design(120, seed=seed)
    for factor, levels in FACTORS.items():
        for length in (1, 7, 30, 64, 120):
            counts = Counter(row[factor] for row in rows[:length])
            assert max(counts.values()) - min(counts[level] for level in levels) <= 1


def test_no_two_factors_run_along_with_each_other() -> None:
    rows = design(180, seed=3)
    for one, other in combinations(FACTORS, 2):
        cells = np.array(
            [[sum(r[one] == a and r[other] == b for r in rows) for b in FACTORS[other]] for a in FACTORS[one]]
        )
        # Drawn at random, Pearson's statistic would be about as large as its degrees of freedom.
        statistic = ((cells - cells.mean()) ** 2 / cells.mean()).sum()
        assert statistic < 0.5 * (cells.shape[0] - 1) * (cells.shape[1] - 1), (one, other)


def test_a_longer_design_begins_with_the_shorter_one_and_the_seed_decides() -> None:
    assert design(50, seed=2)[:20] == design(20, seed=2)
    assert design(20, seed=2) != design(20, seed=3)


def test_every_emotion_gets_the_same_people() -> None:
    wanted = plan(["fear", "disgust"], count=9, seed=4)
    people = {
        word: [w.prompt.split(" old with ")[0] for w in wanted if w.emotion == word] for word in ("fear", "disgust")
    }
    assert people["fear"] == people["disgust"]
    assert [w.emotion for w in wanted[:4]] == ["fear", "disgust", "fear", "disgust"]
    assert wanted[0].file == "fear/generated_4_00001.png"
    assert len({w.file for w in wanted}) == len({w.prompt for w in wanted}) == 18


def test_synonyms_are_understood_and_taken_once() -> None:
    assert {w.emotion for w in plan(["Happy", "joy", "happiness"], count=2)} == {"happiness"}
    assert len(plan(["Happy", "joy"], count=2)) == 2
    assert "happiness" not in plan(["neutral"], count=1)[0].prompt


@pytest.mark.parametrize(
    ("emotions", "options", "message"),
    [
        ([], {"count": 1}, "at least one emotion"),
        (["bored"], {"count": 1}, "unknown emotion 'bored'"),
        (["calm"], {"count": 1}, "but got 'calm'"),
        (["fear"], {"count": 0}, "count must be an integer from 1"),
        (["fear"], {"count": 1, "seed": -1}, "seed must be an integer of at least 0"),
    ],
)
def test_a_wrong_plan_is_refused(emotions: list[str], options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan(emotions, **options)


# --- what is kept -----------------------------------------------------------------------------------


def test_faces_are_written_and_booked(tmp_path: Path, server: Service, client: Make) -> None:
    wanted = plan(["disgust", "fear"], count=2)
    outcomes = list(extend(tmp_path, wanted, client()))
    assert statuses(outcomes) == ["kept"] * 4
    rows = table(tmp_path / "manifest.csv")
    assert [row["file"] for row in rows] == [w.file for w in wanted]
    for number, (row, one) in enumerate(zip(rows, wanted, strict=True), 1):
        data = (tmp_path / row["file"]).read_bytes()
        assert data == image("face", number)
        assert row["sha256"] == hashlib.sha256(data).hexdigest()
        assert (row["emotion"], row["prompt"], row["source"]) == (one.emotion, one.prompt, "generated")
        assert (row["service"], row["model"]) == (server.url, "gpt-image-1")
        assert row["subject"] == row["clip"] == row["split"] == ""
        assert row["date"].startswith("20")
        assert row["date"].endswith("+00:00")
        x1, y1, x2, y2 = map(float, row["box"].split())
        assert 0 <= x1 < x2 <= 384
        assert 0 <= y1 < y2 <= 384
        # The portrait's face fills about 120 x 160 px around (187, 125) of this cut.
        assert x1 < 187 < x2
        assert y1 < 125 < y2
        assert "one face by mtcnn" in row["checks"]
    assert not (tmp_path / "rejected.csv").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["disgust", "fear", "manifest.csv"]
    assert [b["prompt"] for b in server.bodies] == [w.prompt for w in wanted]
    assert {tuple(sorted(b)) for b in server.bodies} == {("model", "n", "prompt", "size")}


def test_other_formats_become_png(tmp_path: Path, server: Service, client: Make) -> None:
    server.script = ["jpeg"]
    list(extend(tmp_path, plan(["fear"], count=1), client()))
    data = (tmp_path / "fear" / "generated_0_00001.png").read_bytes()
    sent = Image.open(io.BytesIO(image("jpeg", 1))).convert("RGB")
    with Image.open(io.BytesIO(data)) as kept:
        assert kept.format == "PNG"
        np.testing.assert_array_equal(np.asarray(kept), np.asarray(sent))
    assert table(tmp_path / "manifest.csv")[0]["sha256"] == hashlib.sha256(data).hexdigest()


REFUSAL = (400, {"message": "Your request was rejected by the safety system.", "code": "moderation_blocked"}, {})


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("none", "no faces found, expected one"),
        ("two", "2 faces found, expected one"),
        ("truncated", "damaged image: the file is truncated"),
        ("base64", "malformed base64"),
        ({"data": [{"b64_json": base64.b64encode(b"not an image at all").decode()}]}, "no usable image"),
        ({"data": [{"b64_json": "="}]}, "malformed base64"),
        ({"data": [{"url": "file:///etc/passwd"}]}, "an address that is not fetched"),
        ({"data": [{"url": "http://[half"}]}, "an address that is none"),
        (REFUSAL, r"rejected by the service \(400\): Your request was rejected by the safety system"),
    ],
    ids=str,
)
def test_what_is_no_face_is_rejected_with_its_reason(
    step: Any, reason: str, tmp_path: Path, server: Service, client: Make
) -> None:
    server.script = [step, "face"]
    wanted = plan(["fear"], count=2)
    assert statuses(list(extend(tmp_path, wanted, client()))) == ["rejected", "kept"]
    (row,) = table(tmp_path / "rejected.csv")
    assert re.search(reason, row["reason"])
    assert (row["file"], row["emotion"], row["prompt"]) == (wanted[0].file, "fear", wanted[0].prompt)
    assert (row["service"], row["model"]) == (server.url, "gpt-image-1")
    assert [p.name for p in (tmp_path / "fear").iterdir()] == ["generated_0_00002.png"]
    assert len(table(tmp_path / "manifest.csv")) == 1


def test_faces_below_the_size_are_rejected(tmp_path: Path, server: Service, client: Make) -> None:
    server.script = ["small", "small"]
    wanted = plan(["fear"], count=2)
    service = client()
    assert statuses(list(extend(tmp_path, wanted[:1], service, min_face_px=20))) == ["kept"]
    outcomes = list(extend(tmp_path, wanted, service, min_face_px=100))
    assert statuses(outcomes) == ["rejected"]
    assert "px long, expected at least 100" in outcomes[0].reason


# --- going on ---------------------------------------------------------------------------------------


def test_nothing_is_asked_twice_or_written_over(tmp_path: Path, server: Service, client: Make) -> None:
    server.script = ["face", "two", "face"]
    wanted = plan(["anger"], count=5)
    assert len(list(extend(tmp_path, wanted, client(), limit=3))) == 3
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.png")}
    assert [w.file for w in pending(tmp_path, wanted)] == [w.file for w in wanted[3:]]
    assert statuses(list(extend(tmp_path, wanted, client()))) == ["kept"] * 2
    assert list(extend(tmp_path, wanted, client())) == []
    assert len(server.bodies) == 5
    assert {p: p.read_bytes() for p in before} == before
    assert len(table(tmp_path / "manifest.csv")) == 4
    assert len(table(tmp_path / "rejected.csv")) == 1


def test_an_image_that_its_owner_deleted_is_not_asked_for_again(tmp_path: Path, server: Service, client: Make) -> None:
    wanted = plan(["anger"], count=1)
    list(extend(tmp_path, wanted, client()))
    (tmp_path / wanted[0].file).unlink()
    assert list(extend(tmp_path, wanted, client())) == []
    assert len(server.bodies) == 1


def test_a_file_of_somebody_else_is_not_touched_and_nothing_is_sent(
    tmp_path: Path, server: Service, client: Make
) -> None:
    wanted = plan(["anger"], count=3)
    (tmp_path / "anger").mkdir()
    (tmp_path / wanted[2].file).write_bytes(b"mine")
    with pytest.raises(DatasetError, match=r"generated_0_00003.png, which manifest.csv does not name"):
        list(extend(tmp_path, wanted, client()))
    assert server.bodies == []
    assert (tmp_path / wanted[2].file).read_bytes() == b"mine"


@pytest.mark.parametrize("cut_after", ["image", "row"])
def test_a_run_that_was_killed_is_finished(
    cut_after: str, tmp_path: Path, server: Service, client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = plan(["anger"], count=1)
    target = tmp_path / wanted[0].file

    def killed(self: Path, _target: Path) -> Path:
        if (self.suffix == ".tmp") == (cut_after == "image"):
            raise SystemExit("killed")
        return Path.rename(self, _target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace" if cut_after == "image" else "rename", killed)
        with pytest.raises(SystemExit):
            list(extend(tmp_path, wanted, client()))
    assert not target.exists()
    asked_again = list(extend(tmp_path, wanted, client()))
    assert len(asked_again) == (1 if cut_after == "image" else 0)
    (row,) = table(tmp_path / "manifest.csv")
    assert hashlib.sha256(target.read_bytes()).hexdigest() == row["sha256"]
    assert [p.name for p in target.parent.iterdir()] == [target.name]


def test_what_a_power_cut_left_is_not_taken_for_an_image(tmp_path: Path, client: Make) -> None:
    wanted = plan(["anger"], count=1)
    target = tmp_path / wanted[0].file
    target.parent.mkdir()
    target.with_name(f".{target.name}.part").write_bytes(image("face", 1)[:1000])
    assert statuses(list(extend(tmp_path, wanted, client()))) == ["kept"]
    assert target.read_bytes() == image("face", 1)
    assert [p.name for p in target.parent.iterdir()] == [target.name]


def test_two_runs_at_once_are_noticed(tmp_path: Path, client: Make) -> None:
    wanted = plan(["anger"], count=3)
    one = extend(tmp_path, wanted, client())
    next(one)
    list(extend(tmp_path, wanted[1:2], client()))
    with pytest.raises(DatasetError, match="which was not there before"):
        next(one)
    other = extend(tmp_path / "b", wanted, client())
    next(other)
    list(extend(tmp_path / "b", wanted[2:], client()))
    with pytest.raises(DatasetError, match="was changed while mien worked on it"):
        next(other)
    assert not (tmp_path / "b" / wanted[1].file).exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"file,label\na.png,1\n", "is none that mien wrote here: expected the columns file,emotion,subject"),
        (b"", "is none that mien wrote here"),
        (b"\xff\xfe\x00", "is none that mien wrote here"),
        (b"file,emotion,reason,prompt,service,model,date\na,b\n", "row 2: expected 7 values"),
    ],
)
def test_tables_of_somebody_else_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    name = "rejected.csv" if message.startswith("row") else "manifest.csv"
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        pending(tmp_path, plan(["fear"], count=1))
    assert (tmp_path / name).read_bytes() == content


def test_a_folder_that_cannot_be_one_is_refused(tmp_path: Path, client: Make) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "fear").write_text("a file where a folder must go")
    with pytest.raises(DatasetError, match=r"expected a folder, but .*file is a file"):
        pending(tmp_path / "file", plan(["fear"], count=1))
    with pytest.raises(DatasetError, match="cannot write"):
        list(extend(tmp_path, plan(["fear"], count=1), client()))
    assert not (tmp_path / "manifest.csv").exists()


# --- a service with bad days --------------------------------------------------------------------------


def limit(**headers: str) -> tuple[int, dict[str, str], dict[str, str]]:
    return 429, {"message": "Rate limit reached", "code": "rate_limit_exceeded"}, headers


def test_a_limit_is_waited_for_as_long_as_the_service_says(
    tmp_path: Path, server: Service, client: Make, pauses: list[float]
) -> None:
    server.script = [limit(**{"retry-after": "7"}), limit()]
    notes: list[str] = []
    assert statuses(list(extend(tmp_path, plan(["fear"], count=1), client(on_note=notes.append)))) == ["kept"]
    assert pauses[0] == 7
    assert 0 < pauses[1] <= 8
    assert notes == ["the service answered 429 (Too Many Requests)"] * 2
    assert len(server.bodies) == 3


def test_limits_without_end_stop_the_work_and_keep_what_was_done(
    tmp_path: Path, server: Service, client: Make, pauses: list[float]
) -> None:
    server.script = ["face", *[limit()] * 5]
    wanted = plan(["fear"], count=3)
    run = extend(tmp_path, wanted, client(retries=4))
    assert next(run).status == "kept"
    with pytest.raises(ServiceError, match=r"too many requests \(429\): Rate limit .*run the same command later"):
        next(run)
    assert len(pauses) == 4
    assert len(table(tmp_path / "manifest.csv")) == 1
    assert len(pending(tmp_path, wanted)) == 2


def test_an_empty_account_is_said_at_once(tmp_path: Path, server: Service, client: Make) -> None:
    server.script = [(429, {"message": "You exceeded your quota", "code": "insufficient_quota"}, {})]
    with pytest.raises(ServiceError, match=r"no more images on this account .*You exceeded your quota"):
        list(extend(tmp_path, plan(["fear"], count=1), client()))
    assert len(server.bodies) == 1


FAULT = (500, {"message": "The server had an error"}, {})


@pytest.mark.parametrize("step", [FAULT, (503, {}, {"retry-after": "1"}), "cut"], ids=["500", "503", "cut"])
def test_faults_are_asked_again(step: Any, tmp_path: Path, server: Service, client: Make, pauses: list[float]) -> None:
    server.script = [step, step]
    assert statuses(list(extend(tmp_path, plan(["fear"], count=1), client()))) == ["kept"]
    assert len(server.bodies) == 3
    assert len(pauses) == 2
    assert len(table(tmp_path / "manifest.csv")) == 1


def test_a_request_that_always_fails_is_left_for_the_next_run(tmp_path: Path, server: Service, client: Make) -> None:
    server.script = ["face", *[FAULT] * 9, "face"]
    wanted = plan(["fear"], count=3)
    outcomes = list(extend(tmp_path, wanted, client()))
    assert statuses(outcomes) == ["kept", "failed", "kept"]
    assert outcomes[1].reason == "no answer after 9 attempts: the service failed (500): The server had an error"
    assert pending(tmp_path, wanted) == [wanted[1]]
    assert not (tmp_path / "rejected.csv").exists()


def test_a_service_that_goes_away_ends_the_work(tmp_path: Path, server: Service, client: Make) -> None:
    server.script = ["face", *[FAULT] * 27]
    run = extend(tmp_path, plan(["fear"], count=9), client())
    assert [next(run).status for _ in range(3)] == ["kept", "failed", "failed"]
    with pytest.raises(ServiceError, match="no answer after 9 attempts"):
        next(run)


def test_a_service_that_is_not_there_is_said_after_the_first_request(tmp_path: Path, pauses: list[float]) -> None:
    pytest.importorskip("openai")
    with serving() as gone:
        pass
    service = ImageService(KEY, base_url=gone.url, retries=1)
    with pytest.raises(ServiceError, match=r"no answer after 2 attempts: the connection to http://127.* failed"):
        list(extend(tmp_path, plan(["fear"], count=5), service))
    service.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_is_said_at_once_and_never_shown(
    status: int, tmp_path: Path, server: Service, client: Make
) -> None:
    server.script = [(status, {"message": f"Incorrect API key provided: {KEY}\nsee our page"}, {})]
    with pytest.raises(ServiceError, match=rf"does not accept the key \({status}\): Incorrect API key .* see") as found:
        list(extend(tmp_path, plan(["fear"], count=2), client()))
    assert KEY not in str(found.value)
    assert len(server.bodies) == 1
    assert server.keys == [f"Bearer {KEY}"]


def test_a_wrong_size_ends_the_work_but_a_bad_prompt_does_not(tmp_path: Path, server: Service, client: Make) -> None:
    wrong = (400, {"message": "Invalid value: 'size'", "param": "size", "code": "invalid_value"}, {})
    server.script = [wrong, "face", wrong]
    wanted = plan(["fear"], count=2)
    with pytest.raises(ServiceError, match=r"does not accept the request \(400\): Invalid value"):
        list(extend(tmp_path, wanted, client()))
    assert pending(tmp_path, wanted) == wanted
    assert statuses(list(extend(tmp_path, wanted, client()))) == ["kept", "rejected"]
    # A new run knows from the manifest that the service has taken such requests.
    server.script = [wrong]
    assert statuses(list(extend(tmp_path, plan(["fear"], count=3), client()))) == ["rejected"]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("text", "expected JSON with a list 'data' of images, but the answer is '<html>Please log in"),
        ({"data": []}, "expected JSON with a list 'data'"),
        ({"data": [5]}, "expected JSON with a list 'data'"),
        ({"data": [{}]}, "expected an image as b64_json or url, but the answer has neither"),
        ((404, {"message": "The model 'x' does not exist"}, {}), r"does not accept the request \(404\): The model"),
    ],
    ids=str,
)
def test_what_is_no_image_service_is_said(
    step: Any, message: str, tmp_path: Path, server: Service, client: Make
) -> None:
    server.script = [step]
    with pytest.raises(ServiceError, match=message):
        list(extend(tmp_path, plan(["fear"], count=2), client()))
    assert list(tmp_path.iterdir()) == []


def test_other_models_are_asked_for_the_image_itself(tmp_path: Path, server: Service, client: Make) -> None:
    unknown = (400, {"message": "Unknown parameter: 'response_format'.", "param": "response_format"}, {})
    server.script = [unknown]
    assert statuses(list(extend(tmp_path, plan(["fear"], count=1), client(model="other")))) == ["kept"]
    assert [b.get("response_format") for b in server.bodies] == ["b64_json", None]


# --- images by address ------------------------------------------------------------------------------


def by_address(url: str) -> dict[str, Any]:
    return {"created": 1, "data": [{"url": url}]}


def test_an_address_on_the_service_is_fetched_without_the_key(tmp_path: Path, server: Service, client: Make) -> None:
    root = server.url.removesuffix("/v1")
    server.files = {"/a.png": ["cut", (503, {}), image("face", 1)]}
    server.script = [by_address(f"{root}/a.png")]
    assert statuses(list(extend(tmp_path, plan(["fear"], count=1), client()))) == ["kept"]
    assert server.fetched == [("/a.png", None)] * 3
    # An image that was paid for is not ordered again because its way was cut.
    assert len(server.bodies) == 1
    assert (tmp_path / "fear" / "generated_0_00001.png").read_bytes() == image("face", 1)


def test_an_address_elsewhere_is_fetched_only_when_allowed(tmp_path: Path, server: Service, client: Make) -> None:
    elsewhere = server.url.removesuffix("/v1").replace("127.0.0.1", "localhost")
    server.files = {"/a.png": image("face", 1)}
    server.script = [by_address(f"{elsewhere}/a.png")] * 2
    wanted = plan(["fear"], count=1)
    with pytest.raises(ServiceError, match=r"lays its images on localhost.*--image-host localhost"):
        list(extend(tmp_path, wanted, client()))
    assert server.fetched == []
    assert statuses(list(extend(tmp_path, wanted, client(image_hosts=["LOCALHOST"])))) == ["kept"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((302, {"location": "http://example.invalid/"}), "cannot be fetched: 302"),
        ((404, {}), "cannot be fetched: 404"),
        (b"x" * 2000, "is larger than 0 MiB"),
    ],
)
def test_what_is_not_fetched_is_rejected(
    answer: Any, reason: str, tmp_path: Path, server: Service, client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.data.prepare.image_service.MAX_BYTES", 1000)
    server.files = {"/a.png": answer}
    server.script = [by_address(server.url.removesuffix("/v1") + "/a.png")]
    (outcome,) = extend(tmp_path, plan(["fear"], count=1), client())
    assert outcome.status == "rejected"
    assert reason in outcome.reason


def test_a_huge_image_is_not_decoded(tmp_path: Path, client: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.data.prepare.image_service.MAX_BYTES", 1000)
    (outcome,) = extend(tmp_path, plan(["fear"], count=1), client())
    assert outcome.reason == "the image is larger than 0 MiB"


# --- arguments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "options", "message"),
    [
        ("", {}, "the key of the service"),
        ("a\nb", {}, "the key of the service"),
        ("schlüssel", {}, "the key of the service"),
        ("k", {"size": "big"}, "size must be WIDTHxHEIGHT"),
        ("k", {"size": "0x10"}, "size must be WIDTHxHEIGHT"),
        ("k", {"base_url": "ftp://x/v1"}, "base_url must be an address"),
        ("k", {"base_url": "localhost:80"}, "base_url must be an address"),
        ("k", {"base_url": "http://[x"}, "base_url must be an address"),
        ("k", {"base_url": "http://x:99999/v1"}, "base_url must be an address"),
        ("k", {"base_url": "https://me:secret@x/v1"}, "must hold no user, password"),
    ],
)
def test_a_service_with_wrong_arguments_is_refused(key: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message) as found:
        ImageService(key, **options)
    assert "secret" not in str(found.value)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(
        MissingExtraError, match=r'asking an image service needs openai: pip install "mien\[generate\]"'
    ):
        ImageService(KEY)
