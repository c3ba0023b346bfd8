"""Running a plan: every item once, whatever ends; and what a dataset then says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import mien
from mien.batch import LocalPool, PartReader, Plan, Settings, export_table, iter_rows, list_entries, read_status
from mien.batch.run import Outcome, Task, run_parts, work
from mien.errors import DatasetError, InputError, MediaNotFoundError
from mien.options import ModelOptions

parquet = pytest.importorskip("pyarrow.parquet")


class Mortal:
    """A pool of this process, whose worker ends whenever it reads one of some items."""

    def __init__(self, plan: Plan, deadly: set[int], lives: int = 10**6) -> None:
        self._reader, self._deadly, self.lives = PartReader(plan), deadly, lives
        self._task: Task | None = None
        self.done: list[Task] = []

    @property
    def free(self) -> int:
        return int(self._task is None)

    def submit(self, task: Task) -> None:
        self._task = task

    def wait(self) -> list[Outcome]:
        task, self._task = self._task, None
        assert task is not None
        self.done.append(task)
        entries = self._reader.plan.entries(task.part)[task.begin : task.end]
        if self.lives and self._deadly & {number for number, _ in entries}:
            self.lives -= 1
            return [Outcome(task, is_alive=False)]
        return [work(self._reader, task)]

    def close(self) -> None:
        self._task = None


def rows_of(plan: Plan) -> list[dict[str, Any]]:
    return [row for n in range(plan.parts) for row in parquet.read_table(plan.part_path(n)).to_pylist()]


@pytest.fixture(scope="module")
def expected(media: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return the rows of a run that nothing disturbed."""
    inputs, folder = [str(media)], tmp_path_factory.mktemp("whole")
    plan = Plan.create(folder, list_entries(inputs), Settings(), inputs=inputs, root="", part_items=100)
    assert run_parts(plan, plan.missing(), Mortal(plan, set())) == (9, 1)
    return rows_of(plan)


def test_rows_are_the_answers_of_analyze(expected: list[dict[str, Any]], answers: dict[str, Any]) -> None:
    by_name = {Path(row["path"]).name: row for row in expected}
    assert len(by_name) == len(expected) == 9
    for name, rows in answers.items():
        faces = by_name[name]["faces"]
        plain = [{k: v for k, v in row.items() if k in faces[0]} for row in rows]
        assert faces == plain
    assert by_name["none.jpg"]["faces"] == []
    assert by_name["none.jpg"]["error"] is None
    assert by_name["broken.png"]["error"] == "DecodeError"
    sound = by_name["sound.wav"]
    assert (sound["kind"], sound["duration_s"], sound["model"]) == ("audio", 1.0, "speech-base")
    assert [row["item"] for row in expected] == list(range(9))


def test_processes_give_the_same_rows(plan: Plan, expected: list[dict[str, Any]]) -> None:
    counts: list[int] = []
    done = run_parts(plan, plan.missing(), LocalPool(plan.folder, 2, counts.append))
    assert done == (9, 1)
    assert sum(counts) == 9
    assert rows_of(plan) == expected
    assert list(plan.missing()) == []


@pytest.mark.parametrize("deadly", [{0}, {3, 4}, set(range(9))])
@pytest.mark.parametrize("part_items", [1, 4])
def test_an_item_that_ends_its_worker_is_a_row(
    deadly: set[int], part_items: int, media: Path, tmp_path: Path, expected: list[dict[str, Any]]
) -> None:
    inputs = [str(media)]
    plan = Plan.create(tmp_path, list_entries(inputs), Settings(), inputs=inputs, root="", part_items=part_items)
    items, failed = run_parts(plan, plan.missing(), Mortal(plan, deadly))
    bad = {row["item"] for row in expected if row["error"]}
    assert (items, failed) == (9, len(bad | deadly))
    rows = rows_of(plan)
    assert [row["item"] for row in rows] == list(range(9))
    for row, whole in zip(rows, expected, strict=True):
        if row["item"] in deadly:
            assert (row["error"], row["path"], row["faces"]) == ("WorkerDied", whole["path"], None)
        else:
            assert row == whole


def test_a_worker_that_ends_once_costs_nothing(plan: Plan, expected: list[dict[str, Any]]) -> None:
    pool = Mortal(plan, {3}, lives=1)
    run_parts(plan, plan.missing(), pool)
    assert rows_of(plan) == expected
    assert [task.end for task in pool.done] == [None] * len(pool.done)


def test_a_process_that_is_killed_is_replaced(plan: Plan, expected: list[dict[str, Any]]) -> None:
    pool = LocalPool(plan.folder, 1)
    killed: list[int] = []

    def kill(items: int, failed: int) -> None:
        if not killed:
            import multiprocessing

            (child,) = multiprocessing.active_children()
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            killed.append(child.pid)

    run_parts(plan, plan.missing(), pool, on_read=kill)
    assert killed
    assert rows_of(plan) == expected


def test_retry_reads_only_what_failed(plan: Plan, expected: list[dict[str, Any]]) -> None:
    run_parts(plan, plan.missing(), Mortal(plan, {2, 5}))
    assert set(read_status(plan).errors) == {"WorkerDied", "DecodeError"}
    pool = Mortal(plan, set())
    assert run_parts(plan, range(plan.parts), pool, retry=True) == (3, 1)
    assert all(task.end == task.begin + 1 for task in pool.done)
    assert rows_of(plan) == expected
    assert read_status(plan).errors == {"DecodeError": 1}


def test_a_part_that_came_meanwhile_is_left_out(plan: Plan) -> None:
    missing = list(plan.missing())
    run_parts(plan, missing[:1], Mortal(plan, set()))
    before = plan.part_path(0).stat().st_mtime_ns
    pool = Mortal(plan, set())
    run_parts(plan, missing, pool)
    assert plan.part_path(0).stat().st_mtime_ns == before
    assert [task.part for task in pool.done] == missing[1:]


def test_shards_share_the_parts(plan: Plan) -> None:
    shares = [list(plan.missing((index, 3))) for index in range(3)]
    assert sorted(part for share in shares for part in share) == list(range(plan.parts))


# --- the plan ---------------------------------------------------------------------------------------------------------


def test_a_plan_that_was_made_is_read_back(plan: Plan, media: Path) -> None:
    again = Plan.load(plan.folder)
    assert again.data == plan.data
    assert again.settings == Settings()
    entries = [entry.path for part in range(again.parts) for _, entry in again.entries(part)]
    assert entries == [str(path) for path in sorted(media.iterdir())]
    again.check(Settings(), [str(media)])


def test_other_settings_are_refused_by_name(plan: Plan, media: Path) -> None:
    with pytest.raises(DatasetError, match=r"min_face_px was None and is 40\.0; choose another folder"):
        plan.check(Settings(ModelOptions(min_face_px=40.0)))
    with pytest.raises(DatasetError, match=r"models\.face\.name was 'face-base' and is 'face-small'.*sha256"):
        plan.check(Settings(ModelOptions(model="face-small")))
    with pytest.raises(DatasetError, match=r"the inputs were .* and are elsewhere"):
        plan.check(inputs=["elsewhere"])
    plan.check(Settings(ModelOptions(threads=3)))


def test_objects_cannot_be_sent_to_other_processes() -> None:
    with pytest.raises(InputError, match="detector must be a name in a batch, but is an object of type list"):
        Settings(ModelOptions(detector=[])).to_dict()


def test_large_files_make_small_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.batch.plan.PART_BYTES", 100)
    monkeypatch.setattr("mien.batch.plan._SHARD_ROWS", 4)
    from mien.batch import Entry

    sizes = [60, 60, 10, 10, 10, 10, 10, 500, 1, None, 1, 1, 1]
    entries = [Entry(f"{k}.mp4", size=size) for k, size in enumerate(sizes)]
    plan = Plan.create(tmp_path, entries, Settings(), inputs=["x"], root="", part_items=5)
    parts = [[number for number, _ in plan.entries(part)] for part in range(plan.parts)]
    assert parts == [[0, 1], [2, 3, 4, 5, 6], [7], [8, 9, 10, 11, 12]]
    assert [entry.size for part in range(plan.parts) for _, entry in plan.entries(part)] == sizes
    assert len(list((tmp_path / "plan").iterdir())) > 1


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "holds no batch"), ("{", "cannot read"), ("[]", "cannot read"), ('{"format": 99}', "has format 99")],
)
def test_what_is_no_plan(text: str | None, message: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DatasetError, match=message):
        Plan.load(tmp_path)


def test_an_empty_plan_leaves_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(MediaNotFoundError, match="no image, video or audio file in here"):
        Plan.create(tmp_path, [], Settings(), inputs=["here"], root="")
    assert not (tmp_path / "manifest.json").exists()


# --- reading it -------------------------------------------------------------------------------------------------------


def test_tables_are_those_of_analyze(plan: Plan, media: Path, tmp_path: Path) -> None:
    run_parts(plan, plan.missing(), Mortal(plan, set()))
    from mien.output.registry import Context
    from mien.output.tables import CsvWriter

    images = [path for path in sorted(media.iterdir()) if path.suffix != ".wav"]
    results = list(mien.analyze_images([str(path) for path in images]))
    context = Context(labels={"image": mien.FaceAnalyzer().labels}, many=True)
    with (tmp_path / "analyze.csv").open("w", newline="") as stream:
        writer = CsvWriter(stream, context)
        for result in results:
            writer.write(result)
        writer.close()
    export_table(plan, "faces", tmp_path / "batch.csv")
    assert (tmp_path / "batch.csv").read_text() == (tmp_path / "analyze.csv").read_text()
    export_table(plan, "faces", tmp_path / "batch.parquet")
    assert parquet.read_table(tmp_path / "batch.parquet").num_rows == len(list(iter_rows(plan, "faces")))
    assert [row["path"] for row in iter_rows(plan, "items")] == [str(path) for path in sorted(media.iterdir())]


def test_reading_faults(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="has no results yet"):
        export_table(plan, "faces", tmp_path / "a.csv")
    run_parts(plan, [0], Mortal(plan, set()))
    with pytest.raises(InputError, match="table must be items or one of faces"):
        export_table(plan, "nothing", tmp_path / "a.csv")
    with pytest.raises(InputError, match=r"\.csv or \.parquet, but got .*a\.txt"):
        export_table(plan, "faces", tmp_path / "a.txt")
    plan.part_path(1).write_bytes(b"PAR1 no table")
    with pytest.raises(DatasetError, match=r"part-000001\.parquet.*remove it"):
        read_status(plan)


def test_polars_pandas_and_duckdb_read_a_dataset(plan: Plan) -> None:
    run_parts(plan, plan.missing(), Mortal(plan, set()))
    pattern = str(plan.folder / "part-*.parquet")
    polars, duckdb = pytest.importorskip("polars"), pytest.importorskip("duckdb")
    faces = polars.scan_parquet(pattern).explode("faces").select("path", polars.col("faces").struct.field("face"))
    count = faces.filter(polars.col("face").is_not_null()).collect().height
    (found,) = duckdb.sql(f"select count(*) from (select unnest(faces) from '{pattern}')").fetchall()[0]
    pandas = pytest.importorskip("pandas")
    whole = pandas.concat(pandas.read_parquet(plan.part_path(n)) for n in range(plan.parts))
    assert count == found == whole["faces"].dropna().map(len).sum() == 6


# --- kill -9 of everything --------------------------------------------------------------------------------------------


def test_killed_as_a_whole_it_goes_on(media: Path, tmp_path: Path, expected: list[dict[str, Any]]) -> None:
    command = [sys.executable, "-m", "mien", "batch", str(media), "--out", str(tmp_path), "--part-items", "1"]
    first = subprocess.Popen([*command, "--workers", "2"], start_new_session=True, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 60
    while not list(tmp_path.glob("part-*.parquet")) and time.monotonic() < limit:
        time.sleep(0.01)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert 0 < len(list(tmp_path.glob("part-*.parquet"))) < 9
    done = subprocess.run([*command, "--workers", "1"], check=False, capture_output=True, text=True)
    assert done.returncode in (0, 3), done.stderr  # the broken image may have come before
    plan = Plan.load(tmp_path)
    assert rows_of(plan) == expected
    metadata = json.loads(parquet.read_schema(plan.part_path(0)).metadata[b"mien"])
    assert metadata["settings"]["models"]["face"]["name"] == "face-base"
