"""Training on clips, from a folder of frames to the report of all folds; the faces are bright bands under noise."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tomli_w

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("onnxscript")

from click.testing import CliRunner  # noqa: E402

import mien  # noqa: E402
from mien.cli import main as cli  # noqa: E402
from mien.data.splits import folds  # noqa: E402
from mien.errors import DatasetError, InputError, ModelError  # noqa: E402
from mien.evaluate import measure, predict  # noqa: E402
from mien.face.align import model_crop  # noqa: E402
from mien.face.analyzer import FaceAnalyzer  # noqa: E402  - needs the extra train
from mien.labels import BAUM8  # noqa: E402
from mien.models import registry, store  # noqa: E402
from mien.train import nested  # noqa: E402
from mien.train.augment import Augmentation  # noqa: E402
from mien.train.corpus import Corpus, split_corpus  # noqa: E402
from mien.train.data import TrainingBatches  # noqa: E402
from mien.train.folder import load_network  # noqa: E402
from mien.train.folds import train_folds  # noqa: E402
from mien.train.kinds import build_for, load_corpus  # noqa: E402
from mien.train.nested import CHOICE, choose_settings, train_members  # noqa: E402
from mien.train.preview import preview  # noqa: E402
from mien.train.recipe import Optimizer, Recipe, Video, member_recipes  # noqa: E402
from mien.train.run import train  # noqa: E402
from mien.train.task import Predicted  # noqa: E402
from mien.train.videos import Videos  # noqa: E402
from mien.video.clips import ClipModel, FaceFeatures, average_frames  # noqa: E402
from planted_faces import planted  # noqa: E402
from planted_videos import write_video  # noqa: E402

SUBJECTS, CLIPS, T = 6, 2, 4
FAST = Optimizer(kind="adamw", rate=0.03, warmup_epochs=0.0, average=0.0, schedule="constant")
TEMPORAL = Recipe(
    name="tiny-temporal",
    net="temporal",
    net_options={"pools": ["mean"], "frames": T},
    dataset="baum2",
    epochs=4,
    batch=4,
    seed=2,
    inner_folds=2,
    choices=("", "net_options.pools=['top']; optimizer.weight_decay=2.0"),
    video=Video(frames=T, drop=0.2),
    optimizer=FAST,
)
C3D = replace(
    TEMPORAL,
    name="tiny-c3d",
    net="c3d",
    net_options={"widths": [2, 2], "dense": 4, "frames": T, "size": 24},
    video=Video(frames=T, size=24, drop=0.2),
    epochs=2,
    choices=(),
)
HEADS = {"baum8": 8}


def emotion(subject: int, clip: int) -> int:
    return (2 * subject + clip) % 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six subjects with two clips of one to four frames: the emotion is the height of a bright band."""
    root = tmp_path_factory.mktemp("videos")
    generator = np.random.default_rng(0)
    for subject in range(SUBJECTS):
        for clip in range(CLIPS):
            folder = root / f"S{subject:03d}" / f"{clip:03d}"
            folder.mkdir(parents=True)
            (folder / "emotion.txt").write_text(str(emotion(subject, clip)))
            for frame in range(1 + (subject + clip) % T):
                image = generator.integers(0, 100, (48, 48), dtype=np.uint8)
                image[12 * emotion(subject, clip) :][:12] += 120
                image[:, :6] = frame
                cv2.imwrite(str(folder / f"{frame}.png"), image)
    return root


@pytest.fixture(scope="module")
def corpus(data: Path) -> Corpus:
    return load_corpus(TEMPORAL, data)


def row_of(corpus: Corpus, clip: str) -> int:
    return corpus.samples.clips.tolist().index(clip)


def test_a_corpus_holds_its_frames_in_order(corpus: Corpus) -> None:
    assert len(corpus) == SUBJECTS * CLIPS
    images, mask = corpus.inputs["images"], corpus.inputs["mask"]
    assert images.shape == (12, T, 48, 48)
    row = row_of(corpus, "S002/001")
    assert mask[row].tolist() == [1, 1, 1, 1]
    assert images[row, :, 0, 0].tolist() == [0, 1, 2, 3]
    row = row_of(corpus, "S000/001")
    assert mask[row].tolist() == [1, 1, 0, 0]
    assert not images[row, 2:].any()
    assert not corpus.inputs["features"][row, :, 2:].any()
    assert corpus.truth["baum8"][row] == emotion(0, 1)
    assert corpus.heads == {"baum8": 8}
    assert len(np.unique(corpus.group)) == SUBJECTS


def test_features_are_the_outputs_of_the_face_model(corpus: Corpus) -> None:
    analyzer = FaceAnalyzer("face-base")
    row = row_of(corpus, "S002/001")
    images, features = corpus.inputs["images"][row], corpus.inputs["features"]
    for view, shown in enumerate((images, np.ascontiguousarray(images[..., ::-1]))):
        logits = analyzer.logits(shown)
        at = 0
        for output in analyzer.spec.heads:
            scaled = torch.from_numpy(logits[output.name]).double() / output.temperature
            shares = features[row, view, :, at : at + len(output.labels)]
            np.testing.assert_allclose(shares, scaled.softmax(dim=1).numpy(), atol=1e-5)
            at += len(output.labels)
    assert features.shape[3] == at + 256


def test_the_untrained_prediction_is_the_mean_over_frames(corpus: Corpus) -> None:
    found = average_frames(corpus.inputs["features"][:, 0], corpus.inputs["mask"], "face-base", BAUM8)
    analyzer = FaceAnalyzer("face-base", threads=1)
    row = row_of(corpus, "S001/000")
    crops = np.repeat(corpus.inputs["images"][row, :2, ..., None], 3, axis=3)
    shares = np.mean([emotion.probabilities for emotion in analyzer.classify(crops)], axis=0)
    names = analyzer.output.labels.emotions
    np.testing.assert_allclose(found[row], [shares[names.index(e)] for e in BAUM8.emotions], atol=1e-5)


def test_mirrored_copies_stay_in_their_groups(corpus: Corpus) -> None:
    both, recipe = Videos().with_copies(TEMPORAL, corpus)
    assert both.group.tolist() == corpus.group.tolist() * 2
    np.testing.assert_array_equal(both.inputs["images"][12:], corpus.inputs["images"][..., ::-1])
    np.testing.assert_array_equal(both.inputs["features"][12:, 0], corpus.inputs["features"][:, 1])
    assert both.samples.clips[12] == f"{corpus.samples.clips[0]}, mirrored"
    assert recipe.epochs == 2


def test_batches_leave_frames_out_and_are_the_same_again(corpus: Corpus) -> None:
    recipe = replace(TEMPORAL, video=Video(frames=T, drop=0.9))
    batches = TrainingBatches(corpus, Videos().augment(recipe, build_for(recipe, HEADS), corpus), seed=5)
    every = torch.arange(12)
    first, again, other = (batches[epoch, 0, every] for epoch in (0, 0, 1))
    for a, b in zip(first.inputs, again.inputs, strict=True):
        torch.testing.assert_close(a, b)
    images, features, mask = first.inputs
    assert images.numel() == 0
    whole = torch.from_numpy(corpus.inputs["mask"])
    assert bool((mask <= whole).all())
    assert bool((mask.sum(dim=1) >= 1).all())
    assert bool((mask.sum(dim=1) < whole.sum(dim=1)).any())
    assert not torch.equal(other.inputs[2], mask)
    views = torch.from_numpy(corpus.inputs["features"])
    is_plain = (features == views[:, 0]).all(dim=2)
    assert bool((is_plain | (features == views[:, 1]).all(dim=2)).all())
    assert 0 < is_plain[whole > 0].float().mean() < 1


def test_all_frames_of_a_clip_are_augmented_alike(data: Path) -> None:
    recipe = replace(C3D, augmentation=Augmentation(), video=replace(C3D.video, drop=0.0))
    corpus = load_corpus(recipe, data)
    images = np.repeat(corpus.inputs["images"][:, :1], T, axis=1)
    same = replace(corpus, inputs={**corpus.inputs, "images": images})
    augment = Videos().augment(recipe, build_for(recipe, HEADS), same)
    changed, features, _ = augment(0, torch.arange(12), torch.Generator().manual_seed(5))
    assert features.numel() == 0
    for frame in range(1, T):
        torch.testing.assert_close(changed[:, :, frame], changed[:, :, 0])
    assert not torch.equal(changed[:, :, 0], torch.from_numpy(images[:, :1]).float())


def test_a_held_out_share_shares_no_subject(corpus: Corpus) -> None:
    training, validation = split_corpus(corpus, replace(TEMPORAL, validation_share=0.34))
    assert not set(training.subjects) & set(validation.subjects)
    assert len(training) + len(validation) == 12
    with pytest.raises(DatasetError, match="has no rows for training"):
        split_corpus(replace(corpus, samples=corpus.samples.with_columns(split=["val"] * 12)), TEMPORAL)


def test_the_network_starts_with_the_means_of_the_training_clips(corpus: Corpus) -> None:
    some = corpus.take(np.arange(12) < 6)
    net = build_for(TEMPORAL, HEADS)
    Videos().prepare(net, some)
    mask = some.inputs["mask"]
    shares = some.inputs["features"][..., :15].mean(axis=1)
    means = (shares * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(net.middle.numpy(), means.mean(axis=0), atol=1e-6)


def test_inner_folds_choose_the_likeliest_setting_and_epoch(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted predictions: the second setting is sure of the truth at its third epoch, else all is even."""
    pairs: list[tuple[set[str], set[str]]] = []

    def fit_and_watch(recipe: Recipe, training: Corpus, validation: Corpus, callback: Any, **_: Any) -> None:
        pairs.append((set(training.subjects), set(validation.subjects)))
        even = np.full((len(validation), 8), 1 / 8, np.float32)
        right = np.asarray(0.9 * np.eye(8)[validation.labels] + 0.0125, np.float32)
        is_top = recipe.net_options["pools"] == ["top"]
        for epoch in range(recipe.epochs):
            shares = right if is_top and epoch == 2 else even
            callback.probabilities.setdefault("baum8", []).append(Predicted(validation.labels, shares).probabilities)

    monkeypatch.setattr(nested, "fit_and_watch", fit_and_watch)
    fold = folds(corpus.samples, 2, seed=0)
    choice = choose_settings(TEMPORAL, corpus, fold, tmp_path)
    assert choice.settings == TEMPORAL.choices[1]
    assert choice.epochs == 3
    assert choice.accuracy == 1
    assert choice.nll == pytest.approx(-np.log(0.9125), abs=1e-3)
    assert [part["nll"] for part in choice.tried] == pytest.approx([np.log(8), -np.log(0.9125)], abs=1e-3)
    np.testing.assert_allclose(choice.inner["baum8"].argmax(axis=1), corpus.labels)
    assert len(pairs) == 4
    assert not any(training & validation for training, validation in pairs)
    pairs.clear()
    assert choose_settings(TEMPORAL, corpus, fold, tmp_path).epochs == 3  # from the kept predictions
    assert not pairs
    with pytest.raises(InputError, match=r"inner-0\.npz is of other folds"):
        choose_settings(TEMPORAL, corpus.take(np.arange(11)), fold[:11], tmp_path)
    (tmp_path / "inner-0.npz").write_bytes(b"PK damaged")
    with pytest.raises(DatasetError, match=r"cannot read .*inner-0\.npz: .*; remove it to choose again"):
        choose_settings(TEMPORAL, corpus, fold, tmp_path)


def test_the_tested_clips_choose_nothing(
    corpus: Corpus, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[set[str]] = []

    def spy(recipe: Recipe, rows: Corpus, folder: Path, **more: Any) -> Any:
        trained.append(set(rows.samples.clips.tolist()))
        assert more["by"] == "subject"
        raise RuntimeError("called")

    from mien.train import folds as module

    monkeypatch.setattr(module, "train_members", spy)
    with pytest.raises(RuntimeError, match="called"):
        train_folds(TEMPORAL, data=data, out=tmp_path, k=3)
    fold = folds(corpus.samples, 3, seed=TEMPORAL.seed)
    assert trained == [set(corpus.samples.clips[fold != 0].tolist())]


def test_folds_from_a_folder_to_a_report(data: Path, options: Any, tmp_path: Path) -> None:
    (result,) = train_folds(TEMPORAL, data=data, out=tmp_path, k=2, options=options)
    assert (result.n, result.groups, result.net) == (12, SUBJECTS, "")
    assert len(result.choices) == len(result.epochs) == 2
    assert all(1 <= epoch <= TEMPORAL.epochs for epoch in result.epochs)
    where = tmp_path / "subject-2"
    summary = json.loads((where / "out-of-fold.json").read_text())
    assert [part["model"] for part in summary] == ["tiny-temporal", "face-base, averaged over frames, not trained"]
    assert summary[0]["accuracy"] == pytest.approx(result.accuracy)
    report = (where / "report" / "report.md").read_text()
    assert "Settings and epochs were chosen on inner folds" in report
    assert (where / "report" / "confusion.png").stat().st_size > 1000
    lines = (where / "report" / "predictions.csv").read_text().splitlines()
    assert len(lines) == 13
    right = lines[0].split(",").index("right")
    assert sum(int(line.split(",")[right]) for line in lines[1:]) == round(12 * result.accuracy)
    assert result.choices[0] in (tmp_path / "folds.md").read_text()
    times = {path: path.stat().st_mtime_ns for path in where.glob("fold-*/**/*.*")}
    assert train_folds(TEMPORAL, data=data, out=tmp_path, k=2, options=options) == (result,)
    assert {path: path.stat().st_mtime_ns for path in where.glob("fold-*/**/*.*")} == times


@pytest.fixture
def hybrid(tmp_path: Path) -> Recipe:
    for recipe in (replace(TEMPORAL, choices=(), epochs=2), C3D):
        (tmp_path / f"{recipe.name}.toml").write_text(tomli_w.dumps(recipe.to_dict()))
    members = tuple(str(tmp_path / f"{name}.toml") for name in ("tiny-temporal", "tiny-c3d"))
    return replace(TEMPORAL, name="tiny-hybrid", choices=(), members=members, video=replace(C3D.video, size=24))


def test_probabilities_of_members_are_added(hybrid: Recipe, data: Path, options: Any, tmp_path: Path) -> None:
    both, first, second = train_folds(hybrid, data=data, out=tmp_path / "run", k=2, options=options)
    assert [part.net for part in (both, first, second)] == ["", "tiny-temporal", "tiny-c3d"]
    assert "tiny-c3d" in both.choices[0]
    fold = folds(load_corpus(hybrid, data).samples, 2, seed=hybrid.seed)
    for number in range(2):
        place = tmp_path / "run" / "subject-2" / f"fold-{number}"
        shares = json.loads((place / CHOICE).read_text())["shares"]
        assert sum(shares.values()) == pytest.approx(1)
        with np.load(place / "test.npz") as stored:
            parts = [stored["baum8@tiny-temporal"], stored["baum8@tiny-c3d"]]
            expected = sum(share * part for share, part in zip(shares.values(), parts, strict=True))
            np.testing.assert_allclose(stored["baum8"], expected, atol=1e-6)
            assert len(stored["baum8"]) == int((fold == number).sum())
    with pytest.raises(InputError, match="has members: give each of them the way 'continued' alone"):
        train_folds(hybrid, data=data, out=tmp_path / "run", k=2, ways=["continued"], options=options)


def test_the_leaking_ways_of_clips(data: Path, options: Any, tmp_path: Path) -> None:
    recipe = replace(TEMPORAL, choices=(), epochs=1)
    ways = ("random", "copies", "continued")
    results = train_folds(recipe, data=data, out=tmp_path, k=2, ways=ways, options=options)
    assert [(r.way, r.n) for r in results] == [("random", 12), ("copies", 24), ("continued", 12)]
    assert "this split leaks" in (tmp_path / "random-2" / "report" / "report.md").read_text()


@pytest.fixture(scope="module")
def run(data: Path, options: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run of one network."""
    return train(TEMPORAL, data=data, out=tmp_path_factory.mktemp("runs") / "run", options=options)


def test_a_run_keeps_its_network(run: Path, corpus: Corpus, options: Any) -> None:
    place = run / "tiny-temporal" / "net"
    choice = json.loads((run / CHOICE).read_text())["chosen"]["tiny-temporal"]
    kept = train_members(TEMPORAL, corpus, run, options=options).nets["tiny-temporal"]
    again, net = Videos().predict(kept, corpus)["baum8"], load_network(place)  # type: ignore[arg-type]
    np.testing.assert_allclose(Videos().predict(net, corpus)["baum8"], again, atol=1e-6)  # type: ignore[arg-type]
    assert len((place / "history.csv").read_text().splitlines()) == 1 + choice["epochs"]


@pytest.mark.parametrize("several", [False, True])
def test_a_run_is_a_model_for_clips(
    several: bool, run: Path, hybrid: Recipe, data: Path, options: Any, tmp_path: Path
) -> None:
    folder = train(hybrid, data=data, out=tmp_path / "run", options=options) if several else run
    recipe = hybrid if several else TEMPORAL
    spec = registry.get(folder)
    store.verify(spec)
    assert (spec.task, spec.name) == ("video-emotion", recipe.name)
    assert spec.clip is not None
    assert (spec.clip.frames, spec.clip.size) == (T, recipe.video.size)
    assert spec.training["subjects"] == [f"S{subject:03d}" for subject in range(SUBJECTS)]
    assert {result.metric for result in spec.results} == {"accuracy", "uar"}
    corpus = load_corpus(recipe, data)
    shares, _ = train_members(recipe, corpus, folder, options=options).predict(recipe, corpus)
    model = ClipModel(folder)
    for row in range(len(corpus)):
        clip = corpus.inputs["images"][row][corpus.inputs["mask"][row] > 0]
        logits = torch.from_numpy(model.logits(clip))
        np.testing.assert_allclose(logits.softmax(0).numpy(), shares["baum8"][row], atol=1e-5)
        scaled = (logits / model.output.temperature).softmax(0)
        np.testing.assert_allclose(model.predict(clip).to_array(), scaled.numpy(), atol=1e-5)


def test_a_run_without_inner_folds_is_a_model_too(data: Path, options: Any, tmp_path: Path) -> None:
    recipe = replace(TEMPORAL, inner_folds=0, choices=(), validation_share=0.34)
    folder = train(recipe, data=data, out=tmp_path / "run", options=options)
    corpus = load_corpus(recipe, data)
    net = load_network(folder)
    logits = Videos().predict(net, corpus)["baum8"]  # type: ignore[arg-type]
    model = ClipModel(folder)
    row = row_of(corpus, "S002/001")
    np.testing.assert_allclose(model.logits(corpus.inputs["images"][row]), logits[row], atol=1e-4)
    assert (folder / "report.md").is_file()


def test_a_model_of_another_kind_or_with_another_face_model_raises(run: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match="model 'face-base' is for face-emotion: reading clips needs one for video-emotion"
    ):
        ClipModel("face-base")
    record = (run / "model.toml").read_text()
    digest = registry.get("face-base").file().sha256
    for name in ("model.onnx", "model.toml"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    (tmp_path / "model.toml").write_text(record.replace(digest, "0" * 64))
    with pytest.raises(ModelError, match="model 'tiny-temporal' was trained with another face-base: train it again"):
        ClipModel(tmp_path).predict(np.zeros((1, 48, 48, 3), np.uint8))


def test_a_model_is_evaluated_on_clips(run: Path, corpus: Corpus, data: Path, tmp_path: Path) -> None:
    found = predict(ClipModel(run), corpus.samples.with_columns(split=[""] * len(corpus)))
    net = load_network(run / "tiny-temporal" / "net")
    logits = Videos().predict(net, corpus)["baum8"]  # type: ignore[arg-type]
    np.testing.assert_allclose(found.logits, logits, atol=1e-4)
    evaluation = measure(found)
    assert evaluation.accuracy == pytest.approx((logits.argmax(axis=1) == corpus.labels).mean())
    assert evaluation.seen_in_training == tuple(f"S{subject:03d}" for subject in range(SUBJECTS))
    place = tmp_path / "report"
    words = ["evaluate", str(run), "baum2", "--data", str(data)]
    assert CliRunner().invoke(cli, [*words, "--report", str(place)]).exit_code == 0
    assert "was trained on all 6 subjects of these clips" in (place / "report.md").read_text()
    done = CliRunner().invoke(cli, [*words[:1], f"face-base,{run}", *words[2:], "--json"])
    assert done.exit_code == 0
    both = json.loads(done.stdout)
    assert [entry["model"] for entry in both["results"]] == ["face-base, averaged over frames", "tiny-temporal"]
    assert both["comparisons"][0]["intervals_by"] == "subject"
    done = CliRunner().invoke(cli, [*words, "--labels-as", "fer7", "--flip"])
    assert done.exit_code == 2
    assert "--flip and --labels-as: not for clips" in done.stderr


def test_a_model_reads_a_video(run: Path, tmp_path: Path) -> None:
    paths = {number: [(0.0, x, 120.0, 110.0), (2.0, x, 125.0, 110.0)] for number, x in enumerate((80.0, 240.0))}
    shots = [(image, Fraction(n, 10)) for n, (image, _, _) in enumerate(planted(paths, seed=3, rate=10, seconds=2))]
    path = tmp_path / "film.mp4"
    write_video(path, shots, rate=10)
    video = mien.analyze_video(path, clip_model=run, voice=False)
    assert video.clip_model == "tiny-temporal"
    assert [track.number for track in video.tracks if track.clip is not None] == [1, 2]
    # As if the faces were cut by hand.
    model = ClipModel(run)
    images = [image for image, _ in shots]
    for track in video.tracks:
        rows = [images[round(10 * time_s)] for time_s in track.times_s]
        crops = [
            model_crop(image, box, landmarks, model.crop, video.detector)
            for image, box, landmarks in zip(rows, track.boxes, track.landmarks, strict=True)  # type: ignore[arg-type]
        ]
        np.testing.assert_allclose(track.clip.to_array(), model.predict(np.stack(crops)).to_array(), atol=0.05)  # type: ignore[union-attr]
    done = CliRunner().invoke(cli, ["analyze", str(path), "--clip-model", str(run), "--only", "face", "--json"])
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["clip_model"] == "tiny-temporal"
    assert found["tracks"][0]["clip"]["labels"] == "baum8"
    assert found["summary"]["clip"]["probabilities"] == pytest.approx(dict(video.summary.clip))  # type: ignore[union-attr]
    done = CliRunner().invoke(cli, ["analyze", str(path), "--clip-model", str(run), "--only", "face"])
    assert f"; as a clip: {video.summary.clip.top}" in done.stdout  # type: ignore[union-attr]
    done = CliRunner().invoke(cli, ["analyze", str(path), "--clip-model", "face-base"])
    assert done.exit_code == 1
    assert "model 'face-base' is for face-emotion: reading clips needs one for video-emotion" in done.stderr


def test_members_take_the_data_of_the_whole() -> None:
    recipe = Recipe(
        name="own", dataset="baum2", seed=9, inner_folds=4, members=("cnn-lstm", "c3d"), video=Video(drop=0.1)
    )
    found = member_recipes(recipe)
    assert list(found) == ["cnn-lstm", "c3d"]
    assert all((m.seed, m.inner_folds, m.video) == (9, 4, recipe.video) for m in found.values())
    with pytest.raises(InputError, match="the member 'hybrid' must have inner_folds and no members"):
        member_recipes(replace(recipe, members=("hybrid",)))
    with pytest.raises(InputError, match="two members have the same name"):
        member_recipes(replace(recipe, members=("c3d", "c3d")))
    with pytest.raises(InputError, match="the member 'cnn' must have inner_folds and no members"):
        member_recipes(replace(recipe, members=("cnn",)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inner_folds": 1, "choices": ()}, "inner_folds must be 0 or at least 2, but is 1"),
        ({"inner_folds": 0}, "choices and members need inner_folds to choose on"),
        ({"optimizer": Optimizer(schedule="plateau")}, "with inner_folds the schedule must be cosine or constant"),
    ],
)
def test_wrong_recipes_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(TEMPORAL, **changes)


def test_what_does_not_fit_raises(data: Path, options: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"its network takes 4 frames of 48 pixels, but .video. gives 6 of 48"):
        load_corpus(replace(TEMPORAL, video=Video(frames=6)), data)
    with pytest.raises(InputError, match=r"face-base has 15 probabilities and an embedding of 256: .* are 15 and 128"):
        load_corpus(replace(TEMPORAL, net_options={"frames": T, "embedding": 128}), data)
    with pytest.raises(InputError, match="clips need a face model, but 'speech-base' is for speech-emotion"):
        FaceFeatures("speech-base")
    with pytest.raises(InputError, match="dataset 'baum2' has no option 'labels'"):
        train_folds(TEMPORAL, data=data, labels=data, out=tmp_path, options=options)
    with pytest.raises(InputError, match="is for clips: only recordings are measured in noise"):
        train_folds(TEMPORAL, data=data, noise=True, out=tmp_path, options=options)
    with pytest.raises(InputError, match="clips take neither mixup nor teachers"):
        replace(TEMPORAL, loss=replace(TEMPORAL.loss, mixup=0.2))
    faces = Recipe(name="faces", inner_folds=2)
    with pytest.raises(InputError, match="only networks for clips choose on inner folds without --folds"):
        train(faces, data=data, out=tmp_path / "faces", options=options)
    with pytest.raises(InputError, match="frames and size must be at least 1 and drop in"):
        Video(drop=1.0)
    with pytest.raises(InputError, match="recipe 'tiny-temporal' is for clips: a preview shows images"):
        preview(TEMPORAL, data=data, out=tmp_path / "preview.png")
    with pytest.raises(DatasetError):
        load_corpus(replace(TEMPORAL, dataset="video_folder"), tmp_path / "nothing")
