"""Training on voices, from a corpus on disk to a model that the analyzer takes; the voices are tones and hums."""

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
from mien.models import registry  # noqa: E402
from mien.speech.analyzer import SpeechAnalyzer  # noqa: E402  - needs the extra train
from mien.train import speech_corpus  # noqa: E402
from mien.train.augment_sound import SoundAugmentation  # noqa: E402
from mien.train.export import PARITY  # noqa: E402
from mien.train.folder import load_net  # noqa: E402
from mien.train.folds import train_folds  # noqa: E402
from mien.train.history import read_history  # noqa: E402
from mien.train.kinds import Voices, kind_of  # noqa: E402
from mien.train.nets import SpeechNet  # noqa: E402
from mien.train.nets.speech import DeployedSpeech  # noqa: E402
from mien.train.preview import preview  # noqa: E402
from mien.train.recipe import Optimizer, Recipe, load_recipe  # noqa: E402
from mien.train.run import train  # noqa: E402
from mien.train.speech_corpus import COPIES, load_speech, prepared, split_speech, with_copies  # noqa: E402
from mien.train.speech_data import SpeechBatches, speech_validation_loader  # noqa: E402
from mien.train.speech_final import train_final  # noqa: E402
from mien.train.speech_folds import SUMMARY  # noqa: E402
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


def test_a_recipe_says_what_it_is_for() -> None:
    assert RECIPE.is_speech
    assert isinstance(kind_of(RECIPE), Voices)
    assert not load_recipe("face-base").is_speech
    for name in ("mel-cnn", "speech-base"):
        assert load_recipe(name).is_speech
    again = Recipe.from_dict(RECIPE.to_dict())
    assert again == RECIPE
    with pytest.raises(InputError, match=r"\[sound\] has the unknown key echo"):
        Recipe.from_dict({"name": "x", "sound": {"echo": 1.0}})


def test_a_corpus_is_read_with_its_speakers(corpus_dir: Path) -> None:
    corpus = load_speech(RECIPE, corpus_dir)
    assert len(corpus) == len(ACTORS) * 20
    assert corpus.heads == {"ravdess8": 8}
    assert np.bincount(corpus.truth["ravdess8"]).tolist() == [24, 48, 48]
    assert sorted(set(corpus.subjects.tolist())) == ["01", "02", "03", "04", "05", "06"]
    for name, group in zip(corpus.subjects, corpus.group, strict=True):
        assert {corpus.group[i] for i in np.flatnonzero(corpus.subjects == name)} == {group}
    part = corpus.take(np.array([5, 2]))
    assert tuple(part.clips.files.tolist()) == (corpus.clips.files[5], corpus.clips.files[2])
    assert part.sounds[1] is corpus.sounds[2]
    with pytest.raises(DatasetError):
        load_speech(RECIPE, corpus_dir / "nowhere")


def test_the_margins_of_a_spectrogram_frame_what_is_used(corpus_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_corpus, "speech_bounds", lambda wave, *, rate_hz, pad_s=0.0: (4000, 9600))
    corpus = load_speech(RECIPE, corpus_dir).take(np.array([0]))
    hop = corpus.settings.hop
    (before, after), sound = corpus.edges[0], corpus.sounds[0]
    assert (before, after) == (8, 8)  # 0.1 s of a hop of 200
    net = load_net_of(corpus)
    cut = prepared(corpus.clips.read_audio(0, 16000), net)
    assert len(cut) == 8000  # 0.35 s of speech, padded to half a second
    assert sound.shape[1] == 1 + (9600 - 4000 + 16 * hop) // hop


def load_net_of(corpus: Any) -> SpeechNet:
    return Voices().task(RECIPE, corpus, []).net  # type: ignore[return-value]


def test_no_speaker_is_on_two_sides(corpus_dir: Path) -> None:
    corpus = load_speech(RECIPE, corpus_dir)
    training, validation = split_speech(corpus, RECIPE, "here")
    assert not set(training.subjects) & set(validation.subjects)
    # A woman and a man choose the epoch.
    assert set(validation.clips.column("sex").tolist()) == {"female", "male"}
    copied = with_copies(corpus, RECIPE)
    assert len(copied) == len(corpus) * (1 + len(COPIES))
    learned, chosen = split_speech(copied, RECIPE, "here")
    assert not set(learned.group) & set(chosen.group)
    assert set(chosen.clips.column("method").tolist()) == {""}
    assert set(learned.clips.column("method").tolist()) == {"", *COPIES}


def test_copies_differ_from_their_originals_and_stay_with_them(corpus_dir: Path) -> None:
    corpus = load_speech(RECIPE, corpus_dir).take(np.arange(4))
    copied = with_copies(corpus, RECIPE)
    for number in range(4, len(copied)):
        original = number % 4
        assert copied.clips.clips[number] == corpus.clips.clips[original]
        assert copied.group[number] == corpus.group[original]
        same_shape = copied.sounds[number].shape == corpus.sounds[original].shape
        assert not same_shape or not np.allclose(copied.sounds[number], corpus.sounds[original])
    again = with_copies(corpus, RECIPE)
    assert all(np.array_equal(a, b) for a, b in zip(copied.sounds, again.sounds, strict=True))


def test_batches_depend_on_seed_and_epoch_alone(corpus_dir: Path) -> None:
    corpus = load_speech(RECIPE, corpus_dir)
    net = load_net_of(corpus)
    batches = SpeechBatches(corpus, SoundAugmentation(), net, seed=1)
    index = torch.arange(5)
    one, other, third = batches[(0, 2, index)], batches[(0, 2, index)], batches[(1, 2, index)]
    assert all(torch.equal(a, b) for a, b in zip(one.inputs, other.inputs, strict=True))
    assert not torch.equal(one.inputs[0], third.inputs[0])
    x, mask = one.inputs
    assert x.shape == (5, 1, 20, 60)
    assert mask.shape == (5, 60)
    assert torch.equal(x[mask[:, None, None].expand_as(x) == 0].unique(), torch.tensor([-2.0]))
    assert one.truth["ravdess8"].tolist() == corpus.truth["ravdess8"][:5].tolist()


def test_validation_sees_recordings_as_they_are_at_use(corpus_dir: Path) -> None:
    corpus = load_speech(RECIPE, corpus_dir).take(np.arange(7))
    net = load_net_of(corpus).eval()
    deployed = DeployedSpeech(net)
    (batch,) = list(speech_validation_loader(corpus, net))
    with torch.no_grad():
        together = net(*batch.inputs)["ravdess8"]
        for row in range(7):
            cut = prepared(corpus.clips.read_audio(row, 16000), net)
            alone = deployed(torch.from_numpy(cut)[None])[0][0]
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
    net = load_net(run)
    assert isinstance(net, SpeechNet)
    with torch.no_grad():
        own = DeployedSpeech(net)(torch.from_numpy(prepared(wave, net))[None])[0][0].numpy()
    np.testing.assert_allclose(graph, own, atol=PARITY)
    for file in ("report.md", "curves.png", "confusion.png", "history.csv", "model.safetensors", "validation.npz"):
        assert (run / file).stat().st_size > 0
    assert "recordings" in (run / "report.md").read_text()


def test_tones_are_learned(run: Path) -> None:
    uar = next(result for result in registry.get(run).results if result.metric == "uar")
    assert uar.value > 0.6  # chance is 0.33


def test_folds_over_speakers_and_the_net_that_follows(corpus_dir: Path, options: Any, tmp_path: Path) -> None:
    told: list[str] = []
    where = tmp_path / "folds"
    train_folds(RECIPE, data=corpus_dir, out=where, k=3, only=[2], options=options, report=told.append)
    assert not (where / "folds.json").exists()
    assert [path.name for path in sorted((where / "subject-3").iterdir())] == ["fold-1"]
    (result,) = train_folds(RECIPE, data=corpus_dir, out=where, k=3, noise=True, options=options, report=told.append)
    assert result.uar > 0.6  # chance is 0.33
    assert len(result.epochs) == 3
    clips = load_speech(RECIPE, corpus_dir).clips
    fold = folds(clips, 3, seed=RECIPE.seed)
    expected = [sorted(set(clips.subjects[fold == number].tolist())) for number in range(3)]
    assert [list(names) for names in result.subjects] == expected
    assert any("fold 1: 2 subjects: " + ", ".join(expected[0]) in line for line in told)
    figures = json.loads((where / "subject-3" / SUMMARY).read_text())
    assert figures["uar"] == pytest.approx(result.uar)
    assert {entry["kind"] for entry in figures["noise"]} == {"clean", "white", "babble"}
    assert (where / "subject-3" / "report" / "report.md").is_file()

    final = train_final(RECIPE, data=corpus_dir, after=where, out=tmp_path / "final", options=options)
    spec = registry.get(final)
    assert spec.output().temperature == pytest.approx(figures["temperature_fitted"], abs=1e-4)
    assert {r.split for r in spec.results} == {"3 folds over speakers"}
    assert next(r for r in spec.results if r.metric == "uar").value == pytest.approx(result.uar, abs=1e-6)
    assert spec.training["epochs"] == sorted(result.epochs)[1] == len(read_history(final / "history.csv"))
    assert spec.training["subjects"] == ["01", "02", "03", "04", "05", "06"]
    assert train_final(RECIPE, data=corpus_dir, after=where, out=tmp_path / "final", options=options) == final
    with pytest.raises(InputError, match="holds the folds of another recipe"):
        train_final(replace(RECIPE, batch=4), data=corpus_dir, after=where, out=tmp_path / "x", options=options)


def test_what_follows_no_folds_is_refused(corpus_dir: Path, tmp_path: Path, options: Any) -> None:
    with pytest.raises(ModelError, match="holds no finished folds over speakers"):
        train_final(RECIPE, data=corpus_dir, after=tmp_path, out=tmp_path / "out", options=options)
    with pytest.raises(InputError, match="is for faces: training after folds is for speech"):
        train_final(load_recipe("face-base"), data=corpus_dir, after=tmp_path, out=tmp_path / "out")
    with pytest.raises(InputError, match="single folds must be from 1 to 3"):
        train_folds(RECIPE, data=corpus_dir, out=tmp_path / "out", k=3, only=[4], options=options)
    with pytest.raises(InputError, match="is for speech: a preview shows images"):
        preview(RECIPE, corpus_dir, tmp_path / "sheet.png")
    with pytest.raises(InputError, match="only recordings are measured in noise"):
        train_folds(load_recipe("cnn"), data=corpus_dir, out=tmp_path / "out", noise=True, options=options)
    with pytest.raises(InputError, match="takes no file of labels"):
        train(RECIPE, data=corpus_dir, labels=tmp_path, out=tmp_path / "out", options=options)


def test_copies_are_dealt_out_with_as_many_steps(corpus_dir: Path, options: Any) -> None:
    corpus = load_speech(RECIPE, corpus_dir)
    copied, own = Voices().with_copies(corpus, replace(RECIPE, epochs=20))
    assert own.epochs == 5
    assert len(copied) == 4 * len(corpus)


def test_system_a_gets_its_272_frames(corpus_dir: Path) -> None:
    recipe = load_recipe("mel-cnn")
    corpus = load_speech(recipe, corpus_dir)
    assert {sound.shape for sound in corpus.sounds} == {(40, 272)}
    assert not corpus.edges.any()
    net = Voices().task(recipe, corpus, []).net
    (x, mask) = SpeechBatches(corpus, recipe.sound, net, seed=1)[(0, 0, torch.arange(3))].inputs  # type: ignore[arg-type]
    assert x.shape == (3, 1, 40, 272)
    assert mask.min() == 1
    # The tone stands in the middle of silence.
    loud = (x > -2).any(dim=2)[:, 0]
    assert not loud[:, :100].any()
    assert loud[:, 130:140].all()
    assert not loud[:, 180:].any()
