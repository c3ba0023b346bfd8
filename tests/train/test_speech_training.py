"""Training on speech, from a folder of files to a model that the analyzer takes; the voices are tones and hums."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("onnxscript")

from mien.data.splits import folds  # noqa: E402
from mien.errors import DatasetError, InputError, ModelError  # noqa: E402
from mien.io.audio import read_audio  # noqa: E402
from mien.labels import FER7, RAVDESS8, mapping  # noqa: E402
from mien.models import registry  # noqa: E402
from mien.speech.analyzer import SpeechAnalyzer  # noqa: E402
from mien.train import speech as module  # noqa: E402
from mien.train.after_folds import FoldVoices, train_final  # noqa: E402
from mien.train.augment import SoundAugmentation  # noqa: E402
from mien.train.corpus import Corpus, split_corpus  # noqa: E402
from mien.train.data import TrainingBatches  # noqa: E402
from mien.train.export import PARITY, deploy  # noqa: E402
from mien.train.fold_reports import SUMMARY  # noqa: E402
from mien.train.folder import load_network, read_history  # noqa: E402
from mien.train.folds import train_folds  # noqa: E402
from mien.train.kinds import build_for, kind_of, load_corpus  # noqa: E402
from mien.train.nets import SpeechNetwork  # noqa: E402
from mien.train.preview import preview  # noqa: E402
from mien.train.recipe import Optimizer, Recipe, load_recipe  # noqa: E402
from mien.train.run import train  # noqa: E402
from mien.train.speech import COPIES, Speech, cut_recording  # noqa: E402
from speech_corpora import ravdess_names, tone, write_wav  # noqa: E402

ACTORS = range(1, 7)
NET = {"stem": 4, "widths": [8], "strides": [[4, 4]], "members": 2, "mels": 20, "frames": 60, "dropout": 0.0}
RECIPE = Recipe(
    name="tiny-voice",
    net="speech_resnet",
    net_options=NET,
    dataset="ravdess",
    epochs=6,
    batch=8,
    seed=3,
    validation_share=0.34,
    optimizer=Optimizer(kind="adamw", rate=0.02, warmup_epochs=0.0, average=0.0),
    sound=SoundAugmentation(speed=0.0, pitch=0.0, response_db=0.0, band_limit=0.0, noise=0.0, reverberation=0.0),
)


def place(name: str) -> int:
    """The emotion's code in a published name."""
    return int(name.split("/")[1].split("-")[2])


@pytest.fixture(scope="module")
def corpus_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six actors, three emotions; an emotion is how high a tone is."""
    root = tmp_path_factory.mktemp("ravdess")
    for name in ravdess_names(ACTORS, emotions=(1, 2, 3)):
        write_wav(root / name, tone(hz=300.0 * 2 ** place(name), seconds=0.7, level=0.2))
    return root


def test_a_recipe_has_the_kind_of_its_dataset() -> None:
    assert RECIPE.kind == "audio"
    assert isinstance(kind_of(RECIPE), Speech)
    assert load_recipe("face-base").kind == "image"
    for name in ("mel-cnn", "speech-base"):
        assert load_recipe(name).kind == "audio"
    again = Recipe.from_dict(RECIPE.to_dict())
    assert again == RECIPE
    with pytest.raises(InputError, match=r"\[sound\] has the unknown key echo"):
        Recipe.from_dict({"name": "x", "sound": {"echo": 1.0}})


@pytest.fixture(scope="module")
def corpus(corpus_dir: Path) -> Corpus:
    return load_corpus(RECIPE, corpus_dir)


@pytest.fixture
def net(corpus: Corpus) -> SpeechNetwork:
    torch.manual_seed(0)
    made = build_for(RECIPE, corpus.heads)
    assert isinstance(made, SpeechNetwork)
    return made


def test_a_corpus_is_read_with_its_speakers(corpus: Corpus, corpus_dir: Path) -> None:
    assert len(corpus) == len(ACTORS) * 20
    assert corpus.heads == {"ravdess8": 8}
    assert np.bincount(corpus.labels).tolist() == [24, 48, 48]
    assert corpus.subjects == ["01", "02", "03", "04", "05", "06"]
    subjects = corpus.samples.subjects
    for name, group in zip(subjects, corpus.group, strict=True):
        assert {corpus.group[i] for i in np.flatnonzero(subjects == name)} == {group}
    part = corpus.take(np.array([5, 2]))
    assert part.samples.files.tolist() == corpus.samples.files[[5, 2]].tolist()
    assert part.inputs["spectrograms"][1] is corpus.inputs["spectrograms"][2]
    with pytest.raises(DatasetError):
        load_corpus(RECIPE, corpus_dir / "nowhere")


def test_the_margins_of_a_spectrogram_frame_what_is_used(
    corpus: Corpus, net: SpeechNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "speech_bounds", lambda wave, *, rate_hz, **_: (4000, 9600))
    samples = corpus.samples.take(np.arange(1))
    inputs = Speech().read_inputs(RECIPE, samples)
    assert inputs["edges"].tolist() == [[8, 8]]  # 0.1 s of a hop of 200
    cut = cut_recording(samples.read_audio(0, 16000), net)
    assert len(cut) == 8000  # 0.35 s of speech, padded to half a second
    assert inputs["spectrograms"][0].shape[1] == 1 + (9600 - 4000 + 16 * net.settings.hop) // net.settings.hop


def test_no_speaker_is_on_two_sides(corpus: Corpus) -> None:
    training, validation = split_corpus(corpus, RECIPE)
    assert not set(training.subjects) & set(validation.subjects)
    # A woman and a man choose the epoch.
    assert set(validation.samples.column("sex").tolist()) == {"female", "male"}


def test_copies_differ_from_their_originals_and_stay_with_them(corpus: Corpus) -> None:
    some = corpus.take(np.arange(0, len(corpus), 10))
    n = len(some)
    copied, recipe = Speech().with_copies(replace(RECIPE, epochs=20), some)
    assert len(copied) == n * (1 + len(COPIES))
    assert recipe.epochs == 5  # as many steps as without copies
    for number in range(n, len(copied)):
        original = number % n
        assert copied.samples.clips[number] == some.samples.clips[original]
        assert copied.group[number] == some.group[original]
        one, other = copied.inputs["spectrograms"][number], some.inputs["spectrograms"][original]
        assert one.shape != other.shape or not np.allclose(one, other)
    again, _ = Speech().with_copies(RECIPE, some)
    pairs = zip(copied.inputs["spectrograms"], again.inputs["spectrograms"], strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
    training, validation = split_corpus(copied, RECIPE)
    assert not set(training.group) & set(validation.group)
    assert set(validation.samples.column("method").tolist()) == {""}
    assert set(training.samples.column("method").tolist()) == {"", *COPIES}


def test_batches_depend_on_seed_and_epoch_alone(corpus: Corpus, net: SpeechNetwork) -> None:
    recipe = replace(RECIPE, sound=SoundAugmentation())
    batches = TrainingBatches(corpus, Speech().augment(recipe, net, corpus), seed=1)
    index = torch.arange(5)
    one, other, third = batches[(0, 2, index)], batches[(0, 2, index)], batches[(1, 2, index)]
    assert all(torch.equal(a, b) for a, b in zip(one.inputs, other.inputs, strict=True))
    assert not torch.equal(one.inputs[0], third.inputs[0])
    x, mask = one.inputs
    assert x.shape == (5, 1, 20, 60)
    assert mask.shape == (5, 60)
    assert torch.equal(x[mask[:, None, None].expand_as(x) == 0].unique(), torch.tensor([-2.0]))
    assert one.truth["ravdess8"].tolist() == corpus.labels[:5].tolist()


def test_validation_is_on_recordings_as_at_use(corpus: Corpus, net: SpeechNetwork) -> None:
    deployed = deploy(net)
    with torch.no_grad():
        together = net(*Speech().inputs(net, corpus, torch.arange(7)))["ravdess8"]
        for row, feed in enumerate(Speech().graph_inputs(deployed, corpus.take(np.arange(7)))):
            alone = deployed(torch.from_numpy(feed["wave"]))[0][0]
            # The frames at the very edges see a little sound beyond the cut.
            torch.testing.assert_close(together[row], alone, atol=0.05, rtol=0)


@pytest.fixture(scope="module")
def run(corpus_dir: Path, options: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(RECIPE, data=corpus_dir, out=tmp_path_factory.mktemp("run") / "tiny-voice", options=options)


def test_a_run_can_be_used_at_once(run: Path, corpus_dir: Path) -> None:
    spec = registry.get(run)
    assert (spec.task, spec.name) == ("speech-emotion", "tiny-voice")
    assert spec.sound is not None
    assert (spec.sound.rate_hz, spec.sound.min_s, spec.sound.trim) == (16000, 0.5, True)
    assert spec.training["dataset"] == "ravdess"
    assert spec.training["subjects"] == ["01", "02", "03", "04", "05", "06"]
    assert "CC BY-NC-SA" in spec.license.data
    analyzer = SpeechAnalyzer(run, threads=1)
    name = next(name for name in ravdess_names([1]) if place(name) == 3)
    wave = read_audio(corpus_dir / name).wave
    graph = analyzer.clip_logits(wave, rate_hz=16000)["ravdess8"]
    net = load_network(run)
    assert isinstance(net, SpeechNetwork)
    with torch.no_grad():
        own = deploy(net)(torch.from_numpy(cut_recording(wave, net))[None])[0][0].numpy()
    np.testing.assert_allclose(graph, own, atol=PARITY)
    for file in ("report.md", "curves.png", "confusion.png", "history.csv", "model.safetensors", "validation.npz"):
        assert (run / file).stat().st_size > 0
    assert "clips" in (run / "report.md").read_text()


def test_tones_are_learned(run: Path) -> None:
    uar = next(result for result in registry.get(run).results if result.metric == "uar")
    assert uar.value > 0.6  # chance is 0.33


def test_folds_over_speakers_and_what_follows(corpus: Corpus, corpus_dir: Path, options: Any, tmp_path: Path) -> None:
    lines: list[str] = []
    where = tmp_path / "folds"
    train_folds(RECIPE, data=corpus_dir, out=where, k=3, only=[2], options=options, report=lines.append)
    assert not (where / "folds.json").exists()
    assert [path.name for path in sorted((where / "subject-3").iterdir())] == ["fold-1"]
    (result,) = train_folds(RECIPE, data=corpus_dir, out=where, k=3, noise=True, options=options, report=lines.append)
    assert result.uar > 0.6  # chance is 0.33
    assert len(result.epochs) == 3
    fold = folds(corpus.samples, 3, seed=RECIPE.seed)
    expected = [sorted(set(corpus.samples.subjects[fold == number].tolist())) for number in range(3)]
    assert [list(names) for names in result.subjects] == expected
    assert any("fold 1: 2 subjects: " + ", ".join(expected[0]) in line for line in lines)
    figures = json.loads((where / "subject-3" / SUMMARY).read_text())
    assert figures["uar"] == pytest.approx(result.uar)
    assert {entry["kind"] for entry in figures["noise"]} == {"clean", "white", "babble", "telephone", "reverberation"}
    assert (where / "subject-3" / "report" / "report.md").is_file()

    final = train_final(RECIPE, data=corpus_dir, after=where, out=tmp_path / "final", options=options)
    spec = registry.get(final)
    assert spec.output().temperature == pytest.approx(figures["temperature_fitted"], abs=1e-4)
    assert {r.split for r in spec.results} == {"3 folds over speakers"}
    assert next(r for r in spec.results if r.metric == "uar").value == pytest.approx(result.uar, abs=1e-6)
    assert spec.training["epochs"] == sorted(result.epochs)[1] == len(read_history(final / "history.csv"))
    assert spec.training["subjects"] == ["01", "02", "03", "04", "05", "06"]
    assert train_final(RECIPE, data=corpus_dir, after=where, out=tmp_path / "final", options=options) == final
    voices = FoldVoices(where, corpus.samples)
    assert (voices.name, voices.rate_hz) == ("tiny-voice, 3 folds", 16000)
    assert voices.fold.tolist() == fold.tolist()
    wave = corpus.samples.read_audio(7, 16000)
    with np.load(where / "subject-3" / f"fold-{fold[7]}" / "test.npz") as kept:
        shares = kept["ravdess8"][int((fold[:7] == fold[7]).sum())] ** (1 / figures["temperature_fitted"])
    found = voices(wave, 7)
    assert found.sum() == pytest.approx(1)
    assert found.argmax() == np.argmax(mapping(RAVDESS8, FER7).apply((shares / shares.sum())[None])[0])
    strangers = corpus.samples.with_columns(subject=np.where(corpus.samples.subjects == "03", "9", "01"))
    with pytest.raises(DatasetError, match="was trained without 9: no network is free of them"):
        FoldVoices(where, strangers)
    with pytest.raises(InputError, match="holds the folds of another recipe"):
        train_final(replace(RECIPE, batch=4), data=corpus_dir, after=where, out=tmp_path / "x", options=options)


def test_what_cannot_be_trained_raises(corpus_dir: Path, tmp_path: Path, options: Any) -> None:
    with pytest.raises(ModelError, match="holds no finished folds over speakers"):
        train_final(RECIPE, data=corpus_dir, after=tmp_path, out=tmp_path / "out", options=options)
    with pytest.raises(InputError, match="is for images: training after folds is for speech"):
        train_final(load_recipe("face-base"), data=corpus_dir, after=tmp_path, out=tmp_path / "out")
    with pytest.raises(InputError, match="single folds must be from 1 to 3"):
        train_folds(RECIPE, data=corpus_dir, out=tmp_path / "out", k=3, only=[4], options=options)
    with pytest.raises(InputError, match="is for recordings: a preview shows images"):
        preview(RECIPE, corpus_dir, tmp_path / "sheet.png")
    with pytest.raises(InputError, match="only recordings are measured in noise"):
        train_folds(load_recipe("cnn"), data=corpus_dir, out=tmp_path / "out", noise=True, options=options)
    with pytest.raises(InputError, match="dataset 'ravdess' has no option 'labels'"):
        train(RECIPE, data=corpus_dir, labels=tmp_path, out=tmp_path / "out", options=options)


def test_mel_cnn_gets_its_272_frames(corpus: Corpus) -> None:
    recipe = load_recipe("mel-cnn")
    some = corpus.samples.take(np.arange(3))
    inputs = Speech().read_inputs(recipe, some)
    assert {spectrogram.shape for spectrogram in inputs["spectrograms"]} == {(40, 272)}
    assert not inputs["edges"].any()
    own = replace(corpus.take(np.arange(3)), inputs=inputs)
    augment = Speech().augment(recipe, build_for(recipe, corpus.heads), own)
    x, mask = augment(0, torch.arange(3), torch.Generator().manual_seed(1))
    assert x.shape == (3, 1, 40, 272)
    assert mask.min() == 1
    # The tone stands in the middle of silence.
    loud = (x > -2).any(dim=2)[:, 0]
    assert not loud[:, :100].any()
    assert loud[:, 130:140].all()
    assert not loud[:, 180:].any()
