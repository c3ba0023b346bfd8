from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.data import Samples, load_dataset
from mien.data.prepare.spectrograms import KINDS, Spectrograms, spectrogram, spectrogram_image
from mien.errors import DatasetError, InputError
from mien.speech.features import MEL_CNN, Settings, log_mel, mfcc, stft_db
from speech_corpora import tone, touch, write_wav


@pytest.fixture
def corpus(tmp_path: Path) -> Samples:
    for number, (actor, hz) in enumerate([(1, 300.0), (1, 600.0), (2, 900.0)], 1):
        name = f"Actor_{actor:02}/03-01-05-01-01-{1 if number != 2 else 2:02}-{actor:02}.wav"
        write_wav(tmp_path / "data" / name, tone(hz=hz, seconds=0.3 + 0.1 * number))
    return load_dataset("ravdess", tmp_path / "data")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_each_kind_is_that_of_the_features() -> None:
    wave, settings = tone(), Settings()
    assert (spectrogram(wave, kind="stft") == stft_db(wave, settings)).all()
    assert (spectrogram(wave, kind="mel") == log_mel(wave, settings)).all()
    assert (spectrogram(wave, kind="mfcc", coefficients=13) == mfcc(wave, settings, n=13)).all()


@pytest.mark.parametrize(("kind", "bands"), [("stft", 1025), ("mel", 40), ("mfcc", 20)])
def test_system_a_is_scaled_and_272_frames_long(kind: str, bands: int) -> None:
    wave = tone(seconds=1.0, rate_hz=22050, level=0.1)
    made = spectrogram(wave, kind=kind, settings="mel-cnn")
    assert made.shape == (bands, 272)
    assert (made == spectrogram(wave * np.float32(4), kind=kind, settings="mel-cnn")).all()
    have = 1 + len(wave) // 512
    before = (272 - have) // 2
    full = {"stft": stft_db, "mel": log_mel, "mfcc": mfcc}[kind](wave / np.abs(wave).max(), MEL_CNN)  # type: ignore[operator]
    assert (made[:, before : before + have] == full).all()


def test_wrong_names() -> None:
    with pytest.raises(InputError, match="kind must be stft, mel, mfcc, but got 'cqt'"):
        spectrogram(tone(), kind="cqt")
    with pytest.raises(InputError, match="settings must be default or mel-cnn, but got 'b'"):
        spectrogram(tone(), settings="b")


def test_an_image_has_one_pixel_a_value_low_frequencies_below() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    drawn = spectrogram_image(values)
    assert drawn.shape == (3, 4, 3)
    light = drawn.astype(int).sum(axis=2)[::-1].ravel()
    assert (np.diff(light) > 0).all(), "larger is lighter"
    assert len(np.unique(spectrogram_image(np.zeros((2, 2), np.float32)).reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_corpus_becomes_arrays_images_and_a_table(corpus: Samples, tmp_path: Path, kind: str) -> None:
    work = Spectrograms(corpus, tmp_path / "out", kind=kind, png=True)
    done = list(work.run())
    assert [outcome.file for outcome in done] == list(corpus.files)
    assert not any(outcome.reason for outcome in done)
    table = rows(tmp_path / "out" / "manifest.csv")
    assert [row["source"] for row in table] == list(corpus.files)
    assert table[2]["subject"] == "02"
    assert {row["emotion"] for row in table} == {"anger"}
    for i, row in enumerate(table):
        made = np.load(tmp_path / "out" / row["file"])
        assert (made == spectrogram(corpus.read_audio(i, 16000), kind=kind)).all()
        assert made.dtype == np.float32
        assert made.shape == (int(row["bands"]), int(row["frames"]))
        with Image.open((tmp_path / "out" / row["file"]).with_suffix(".png")) as image:
            assert (np.asarray(image) == spectrogram_image(made)).all()
    assert json.loads((tmp_path / "out" / "spectrograms.json").read_text("utf-8"))["kind"] == kind
    assert not list((tmp_path / "out").rglob(".mien-*"))


def test_the_work_goes_on_where_it_stopped(corpus: Samples, tmp_path: Path) -> None:
    out = tmp_path / "out"
    running = Spectrograms(corpus, out).run()
    next(running)
    running.close()
    assert len(rows(out / "manifest.csv")) == 1
    first = (out / corpus.files[0]).with_suffix(".npy")
    stamp = first.stat().st_mtime_ns
    assert [outcome.file for outcome in Spectrograms(corpus, out).run()] == list(corpus.files[1:])
    assert first.stat().st_mtime_ns == stamp
    assert len(rows(out / "manifest.csv")) == 3
    assert list(Spectrograms(corpus, out).run()) == []
    # Images that were not asked for before are what is left.
    assert len(Spectrograms(corpus, out, png=True).left()) == 3
    # A part of the corpus leaves the lines of the rest in the table.
    assert list(Spectrograms(corpus.take(np.array([1])), out).run()) == []
    assert sorted(row["source"] for row in rows(out / "manifest.csv")) == sorted(corpus.files)


def test_other_settings_do_not_mix(corpus: Samples, tmp_path: Path) -> None:
    list(Spectrograms(corpus, tmp_path / "out").run())
    with pytest.raises(DatasetError, match="made with other settings: choose another folder"):
        Spectrograms(corpus, tmp_path / "out", kind="stft")
    with pytest.raises(DatasetError, match="is a file"):
        Spectrograms(corpus, Path(corpus.where(0)))


def test_several_processes_make_the_same(corpus: Samples, tmp_path: Path) -> None:
    list(Spectrograms(corpus, tmp_path / "one").run())
    done = list(Spectrograms(corpus, tmp_path / "two").run(workers=2))
    assert sorted(outcome.file for outcome in done) == sorted(corpus.files)
    for file in [*(str(Path(f).with_suffix(".npy")) for f in corpus.files), "manifest.csv"]:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_what_cannot_be_read_is_listed_and_tried_again(corpus: Samples, tmp_path: Path) -> None:
    good = Path(corpus.where(1)).read_bytes()
    Path(corpus.where(1)).write_bytes(b"no sound")
    done = list(Spectrograms(corpus, tmp_path / "out").run())
    assert [bool(outcome.reason) for outcome in done] == [False, True, False]
    (rejected,) = rows(tmp_path / "out" / "rejected.csv")
    assert rejected["file"] == corpus.files[1]
    assert rejected["reason"]
    assert len(rows(tmp_path / "out" / "manifest.csv")) == 2
    Path(corpus.where(1)).write_bytes(good)
    assert [outcome.file for outcome in Spectrograms(corpus, tmp_path / "out").run()] == [corpus.files[1]]
    assert not (tmp_path / "out" / "rejected.csv").exists()
    assert len(rows(tmp_path / "out" / "manifest.csv")) == 3


def test_names_that_differ_in_the_suffix_only(tmp_path: Path) -> None:
    for name in ("sad/a.wav", "sad/A.WAV2.wav", "sad/a.wave.wav"):
        write_wav(tmp_path / "data" / name, tone())
    (tmp_path / "data" / "sad" / "a.oga").write_bytes((tmp_path / "data" / "sad" / "a.wav").read_bytes())
    (tmp_path / "data" / "manifest.csv").write_text("file,emotion\nsad/a.wav,sad\nsad/a.oga,sad\n", "utf-8")
    clips = load_dataset("speech_folder", tmp_path / "data")
    list(Spectrograms(clips, tmp_path / "out").run())
    assert sorted(p.name for p in (tmp_path / "out" / "sad").iterdir()) == ["a.oga.npy", "a.wav.npy"]


def test_one_parquet_with_shapes(corpus: Samples, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "out"
    bad = Path(corpus.where(2)).read_bytes()
    Path(corpus.where(2)).write_bytes(b"no sound")
    list(Spectrograms(corpus, out, parquet=True).run())
    assert parquet.read_table(out / "spectrograms.parquet").num_rows == 2
    assert sorted(p.name for p in out.iterdir()) == ["rejected.csv", "spectrograms.json", "spectrograms.parquet"]
    Path(corpus.where(2)).write_bytes(bad)
    assert [outcome.file for outcome in Spectrograms(corpus, out, parquet=True).run()] == [corpus.files[2]]
    table = parquet.read_table(out / "spectrograms.parquet").to_pylist()
    assert [row["source"] for row in table] == list(corpus.files)
    for i, row in enumerate(table):
        values = np.array(row["values"], dtype=np.float32).reshape(row["bands"], row["frames"])
        assert (values == spectrogram(corpus.read_audio(i, 16000))).all()
        assert row["emotion"] == "anger"
        assert row["clip"] == corpus.clips[i]
    (out / "spectrograms.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DatasetError, match=r"cannot read .*spectrograms\.parquet"):
        Spectrograms(corpus, out, parquet=True).left()


def test_a_parquet_that_was_interrupted_keeps_what_was_done(corpus: Samples, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow.parquet")
    running = Spectrograms(corpus, tmp_path, parquet=True).run()
    next(running)
    running.close()
    assert not (tmp_path / "spectrograms.parquet").exists()
    assert len(Spectrograms(corpus, tmp_path, parquet=True).left()) == 2


@pytest.mark.parametrize("length", [0, 20, 200])
def test_a_damaged_array_says_what_to_do(corpus: Samples, tmp_path: Path, length: int) -> None:
    list(Spectrograms(corpus, tmp_path / "out").run())
    array = (tmp_path / "out" / corpus.files[0]).with_suffix(".npy")
    array.write_bytes(array.read_bytes()[:length])
    with pytest.raises(DatasetError, match="is damaged; delete it to have it made again"):
        list(Spectrograms(corpus, tmp_path / "out").run())


def test_a_folder_that_cannot_be_written(corpus: Samples, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "Actor_01").write_text("in the way")
    with pytest.raises(DatasetError, match="cannot write"):
        list(Spectrograms(corpus, tmp_path / "out").run())


def test_files_of_no_sound_at_all(tmp_path: Path) -> None:
    clips = load_dataset("emodb", touch(tmp_path / "data", ["03a01Fa.wav"]))
    (outcome,) = Spectrograms(clips, tmp_path / "out").run()
    assert outcome.reason
    assert rows(tmp_path / "out" / "manifest.csv") == []


@pytest.mark.data
def test_real_clips(data_dir: Path, tmp_path: Path) -> None:
    clips = load_dataset("ravdess", data_dir / "ravdess_speech_16k").take(np.arange(4))
    list(Spectrograms(clips, tmp_path, settings="mel-cnn").run())
    made = np.stack([np.load(tmp_path / row["file"]) for row in rows(tmp_path / "manifest.csv")])
    assert made.shape == (4, 40, 272)
    # Speech stands in the middle, padding of -80 dB around it.
    assert (made.max(axis=(1, 2)) - made.min(axis=(1, 2)) <= 80.001).all()
    assert (made[:, :, 120:150].mean(axis=(1, 2)) > made[:, :, :20].mean(axis=(1, 2)) + 10).all()


def test_a_png_is_readable_by_others(corpus: Samples, tmp_path: Path) -> None:
    list(Spectrograms(corpus, tmp_path, png=True).run())
    data = (tmp_path / corpus.files[0]).with_suffix(".png").read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "RGB"
        assert image.size == (41, 80)
