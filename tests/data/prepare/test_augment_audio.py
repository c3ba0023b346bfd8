from __future__ import annotations

import csv
import io
import wave as wave_files
from pathlib import Path

import numpy as np
import pytest

from mien.data import Samples, load_dataset
from mien.data.prepare.augment_audio import Changes, Copies, encode_audio
from mien.data.splits import folds
from mien.errors import DatasetError, InputError
from mien.io.audio import read_audio
from mien.speech.warp import pitch_shift, time_stretch
from speech_corpora import tone, write_wav

METHODS = ["", "stretch0.81", "stretch1.07", "pitch-1", "pitch+2", "noise"]


@pytest.fixture
def corpus(tmp_path: Path) -> Samples:
    for actor in range(1, 5):
        for emotion in (3, 5):
            name = f"Actor_{actor:02}/03-01-{emotion:02}-01-01-01-{actor:02}.wav"
            write_wav(tmp_path / "data" / name, tone(hz=200.0 + 50 * actor, seconds=0.3, level=0.25))
    return load_dataset("ravdess", tmp_path / "data")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def kind(method: str) -> str:
    return "noise" if method.startswith("noise") else method


def test_every_copy_has_its_origin_however_the_folder_is_read(corpus: Samples, tmp_path: Path) -> None:
    assert not any(outcome.reason for outcome in Copies(corpus, tmp_path / "out").run())
    for name in ("ravdess", "speech_folder"):
        copies = load_dataset(name, tmp_path / "out")
        assert copies.problems == ()
        assert len(copies) == 6 * len(corpus)
        for i, clip in enumerate(corpus.clips.tolist()):
            own = copies.take(copies.clips == clip)
            assert sorted(map(kind, own.column("method").tolist())) == sorted(METHODS)
            assert set(own.labels.tolist()) == {corpus.labels[i] if name == "ravdess" else own.labels[0]}
            emotion = own.label_set.emotions[own.labels[0]]
            assert emotion == corpus.label_set.emotions[corpus.labels[i]]
            assert set(own.subjects.tolist()) == {corpus.subjects[i]}
            assert set(own.column("sex").tolist()) == {corpus.column("sex")[i]}


@pytest.mark.parametrize("name", ["ravdess", "speech_folder"])
@pytest.mark.parametrize("seed", range(5))
def test_no_split_separates_a_copy_from_its_clip(corpus: Samples, tmp_path: Path, name: str, seed: int) -> None:
    list(Copies(corpus, tmp_path / "out").run())
    copies = load_dataset(name, tmp_path / "out")
    by_speaker = folds(copies, 4, seed=seed)
    nobody = copies.with_columns(subject=np.full(len(copies), ""))
    for dealt in (by_speaker, folds(nobody, 4, seed=seed)):
        for clip in set(copies.clips.tolist()):
            assert len(set(dealt[copies.clips == clip].tolist())) == 1
    for speaker in set(copies.subjects.tolist()):
        assert len(set(by_speaker[copies.subjects == speaker].tolist())) == 1


def test_copies_are_what_they_say(corpus: Samples, tmp_path: Path) -> None:
    list(Copies(corpus, tmp_path / "out").run())
    table = rows(tmp_path / "out" / "manifest.csv")
    mine = {row["method"] + row["value"]: row for row in table if row["source"] == corpus.files[0]}
    assert [kind(method) for method in mine] == METHODS
    original = corpus.read_audio(0)
    waves = {kind(method): read_audio(tmp_path / "out" / row["file"]) for method, row in mine.items()}
    assert {audio.rate_hz for audio in waves.values()} == {16000}
    step = 1 / 32768
    assert (waves[""].wave == original).all()
    assert np.abs(waves["stretch0.81"].wave - time_stretch(original, 0.81)).max() <= step
    assert np.abs(waves["stretch1.07"].wave - time_stretch(original, 1.07)).max() <= step
    assert np.abs(waves["pitch-1"].wave - pitch_shift(original, -1)).max() <= step
    assert np.abs(waves["pitch+2"].wave - pitch_shift(original, 2)).max() <= step
    amount = float(next(row["value"] for row in mine.values() if row["method"] == "noise"))
    assert 0.005 <= amount <= 0.008
    noise = waves["noise"].wave - original
    assert noise.std() == pytest.approx(amount * np.abs(original).max(), rel=0.1)


def test_the_same_seed_gives_the_same_files_in_any_order(corpus: Samples, tmp_path: Path) -> None:
    changes = Changes(stretch=(), pitch=(), seed=7)
    list(Copies(corpus, tmp_path / "a", changes=changes).run())
    list(Copies(corpus, tmp_path / "b", changes=changes).run(workers=2))
    list(Copies(corpus, tmp_path / "c", changes=Changes(stretch=(), pitch=(), seed=8)).run())
    names = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.flac"))
    assert len(names) == 16
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert {p.relative_to(tmp_path / "c") for p in (tmp_path / "c").rglob("*noise*")}.isdisjoint(names)


def test_beside_the_originals(corpus: Samples, tmp_path: Path) -> None:
    out = tmp_path / "data"
    list(Copies(corpus, out).run())
    both = load_dataset("ravdess", out)
    assert len(both) == 6 * len(corpus)
    assert both.problems == ()
    assert (both.column("method") == "").sum() == len(corpus)
    assert len(rows(out / "manifest.csv")) == 6 * len(corpus)
    # The folder now holds copies; none is made of them.
    again = Copies(both, out)
    assert len(again.clips) == len(corpus)
    assert again.left() == []
    with pytest.raises(DatasetError, match="holds copies only"):
        Copies(both.take(both.column("method") != ""), out)


def test_the_work_goes_on_where_it_stopped(corpus: Samples, tmp_path: Path) -> None:
    out = tmp_path / "out"
    running = Copies(corpus, out).run()
    next(running)
    running.close()
    assert len(rows(out / "manifest.csv")) == 6
    lost = next(out.rglob("*stretch0.81*"))
    lost.unlink()
    left = Copies(corpus, out).left()
    assert [len(task.targets) for task in left] == [1] + [6] * 7
    list(Copies(corpus, out).run())
    assert lost.is_file()
    assert len(rows(out / "manifest.csv")) == 48
    with pytest.raises(DatasetError, match="made with other settings"):
        Copies(corpus, out, changes=Changes(seed=1))


def test_what_cannot_be_read_is_listed(corpus: Samples, tmp_path: Path) -> None:
    Path(corpus.where(3)).write_bytes(b"no sound")
    done = list(Copies(corpus, tmp_path / "out", originals=False, file_format="wav").run())
    assert [bool(outcome.reason) for outcome in done] == [i == 3 for i in range(8)]
    assert [row["file"] for row in rows(tmp_path / "out" / "rejected.csv")] == [corpus.files[3]]
    table = rows(tmp_path / "out" / "manifest.csv")
    assert len(table) == 5 * 7
    assert all(row["method"] and row["file"].endswith(".wav") for row in table)


def test_a_manifest_of_somebody_else_is_kept(corpus: Samples, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.csv").write_text("mine\n", "utf-8")
    with pytest.raises(DatasetError, match="will not write over"):
        Copies(corpus, tmp_path / "out")
    assert (tmp_path / "out" / "manifest.csv").read_text("utf-8") == "mine\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stretch": (0.0,)}, "stretch must be a number from 0.25 to 4"),
        ({"pitch": (99.0,)}, "pitch must be a number from -24 to 24"),
        ({"noise": (0.008, 0.005)}, "noise must be a lowest and a highest amount"),
        ({"noise": (0.1,)}, "noise must be a lowest and a highest amount"),
        ({"noise": (0.1, float("nan"))}, "noise must be a number from 0 to 1"),
        ({"seed": -1}, "seed must be an integer"),
        ({"stretch": (), "pitch": (), "noise": ()}, "there must be a copy to make"),
    ],
)
def test_changes_that_are_none(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Changes(**options)  # type: ignore[arg-type]


def test_a_format_that_is_none(corpus: Samples, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="file_format must be flac or wav, but got 'mp3'"):
        Copies(corpus, tmp_path / "out", file_format="mp3")


@pytest.mark.parametrize("file_format", ["flac", "wav"])
@pytest.mark.parametrize("n", [1, 4095, 4096, 10001])
def test_files_give_16_bit_samples_back(file_format: str, n: int) -> None:
    samples = np.random.default_rng(n).integers(-32768, 32768, n)
    wave = (samples / 32768).astype(np.float32)
    audio = read_audio(encode_audio(wave, 22050, file_format))
    assert audio.rate_hz == 22050
    assert (audio.wave == wave).all()


def test_what_is_too_loud_is_made_quieter_not_clipped() -> None:
    loud = 3 * tone(level=1.0)
    with wave_files.open(io.BytesIO(encode_audio(loud, 16000, "wav"))) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert np.corrcoef(samples, loud)[0, 1] > 0.999999
    assert np.abs(samples.astype(int)).max() >= 32767


@pytest.mark.data
def test_real_clips_keep_length_and_level(data_dir: Path, tmp_path: Path) -> None:
    clips = load_dataset("ravdess", data_dir / "ravdess_speech_16k").take(np.array([0, 700]))
    list(Copies(clips, tmp_path).run())
    copies = load_dataset("ravdess", tmp_path)
    for i, clip in enumerate(clips.clips.tolist()):
        original = clips.read_audio(i)
        level = float(np.sqrt(np.mean(np.square(original, dtype=np.float64)) * len(original)))
        for row in np.flatnonzero(copies.clips == clip).tolist():
            wave = copies.read_audio(row)
            factor = {"stretch0.81": 0.81, "stretch1.07": 1.07}.get(str(copies.column("method")[row]), 1.0)
            assert len(wave) == round(len(original) / factor)
            energy = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)) * len(original)))
            assert energy == pytest.approx(level, rel=0.25)
