"""Training on clips, from a folder of frames to the report of all folds; the faces are bright bands under noise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("onnxscript")

from click.testing import CliRunner  # noqa: E402
from sklearn.metrics import f1_score  # noqa: E402

from mien.cli import main as cli  # noqa: E402
from mien.errors import DatasetError, InputError, ModelError  # noqa: E402
from mien.face.analyzer import FaceAnalyzer  # noqa: E402  - needs the extra train
from mien.labels import BAUM8  # noqa: E402
from mien.train import nested  # noqa: E402
from mien.train.augment import Augmentation  # noqa: E402
from mien.train.folder import load_net  # noqa: E402
from mien.train.folds import train_folds  # noqa: E402
from mien.train.kinds import Videos, kind_of  # noqa: E402
from mien.train.nested import CHOICE, choose, member_recipes, plain, settle  # noqa: E402
from mien.train.nets import build_video  # noqa: E402
from mien.train.preview import preview  # noqa: E402
from mien.train.recipe import Optimizer, Recipe, Video  # noqa: E402
from mien.train.run import train  # noqa: E402
from mien.train.video_corpus import VideoCorpus, load_videos, mirrored, split_videos  # noqa: E402
from mien.train.video_data import VideoBatches, video_validation_loader  # noqa: E402
from mien.train.video_evaluate import examine_videos  # noqa: E402
from mien.train.video_features import FrameReader, frames_averaged  # noqa: E402
from mien.train.video_report import figures  # noqa: E402

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
    """Six subjects with two clips of one to four frames: four emotions, told by the height of a bright band."""
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
def corpus(data: Path) -> VideoCorpus:
    return load_videos(TEMPORAL, data)


def test_a_corpus_holds_its_frames_in_order(corpus: VideoCorpus, data: Path) -> None:
    assert len(corpus) == SUBJECTS * CLIPS
    assert corpus.images.shape == (12, T, 48, 48)
    row = corpus.names.tolist().index("S002/001")
    assert corpus.mask[row].tolist() == [1, 1, 1, 1]
    assert corpus.images[row, :, 0, 0].tolist() == [0, 1, 2, 3]
    row = corpus.names.tolist().index("S000/001")
    assert corpus.mask[row].tolist() == [1, 1, 0, 0]
    assert not corpus.images[row, 2:].any()
    assert not corpus.features[row, :, 2:].any()
    assert corpus.truth["baum8"][row] == emotion(0, 1)
    assert corpus.heads == {"baum8": 8}
    assert len(np.unique(corpus.group)) == SUBJECTS


def test_features_are_what_the_face_model_says(corpus: VideoCorpus) -> None:
    analyzer = FaceAnalyzer("face-base")
    row = corpus.names.tolist().index("S002/001")
    for side, images in enumerate((corpus.images[row], np.ascontiguousarray(corpus.images[row, ..., ::-1]))):
        logits = analyzer.logits(images)
        at = 0
        for output in analyzer.spec.outputs:
            scaled = torch.from_numpy(logits[output.name]).double() / output.temperature
            shares = corpus.features[row, side, :, at : at + len(output.labels)]
            np.testing.assert_allclose(shares, scaled.softmax(dim=1).numpy(), atol=1e-5)
            at += len(output.labels)
    assert corpus.features.shape[3] == at + 256


def test_the_untrained_answer_is_the_mean_over_frames(corpus: VideoCorpus) -> None:
    found = frames_averaged(corpus.features, corpus.mask, "face-base", BAUM8)
    reader = FrameReader("face-base")
    row = corpus.names.tolist().index("S001/000")
    shares = reader(corpus.images[row, :2])[:, :8].mean(axis=0)  # ferplus8, the default output
    names = reader.spec.outputs[0].labels.emotions
    np.testing.assert_allclose(found[row], [shares[names.index(e)] for e in BAUM8.emotions], atol=1e-5)


def test_mirrored_copies_stay_in_their_groups(corpus: VideoCorpus) -> None:
    both = mirrored(corpus)
    assert both.group.tolist() == corpus.group.tolist() * 2
    np.testing.assert_array_equal(both.images[12:], corpus.images[..., ::-1])
    np.testing.assert_array_equal(both.features[12:, 0], corpus.features[:, 1])
    copies, recipe = Videos().with_copies(corpus, TEMPORAL)
    assert len(copies) == 24
    assert recipe.epochs == 2


def test_batches_leave_frames_out_and_say_the_same_again(corpus: VideoCorpus) -> None:
    net = build_video("temporal", HEADS, **TEMPORAL.net_options)
    batches = VideoBatches(corpus, Augmentation(), net, drop=0.9, seed=5)
    every = torch.arange(12)
    first, again, other = (batches[epoch, 0, every] for epoch in (0, 0, 1))
    for a, b in zip(first.inputs, again.inputs, strict=True):
        torch.testing.assert_close(a, b)
    images, features, mask = first.inputs
    assert images.numel() == 0
    whole = torch.from_numpy(corpus.mask)
    assert bool((mask <= whole).all())
    assert bool((mask.sum(dim=1) >= 1).all())
    assert bool((mask.sum(dim=1) < whole.sum(dim=1)).any())
    assert not torch.equal(other.inputs[2], mask)
    sides = torch.from_numpy(corpus.features)
    plain_side = (features == sides[:, 0]).all(dim=2)
    assert bool((plain_side | (features == sides[:, 1]).all(dim=2)).all())
    assert 0 < plain_side[whole > 0].float().mean() < 1


def test_all_frames_of_a_clip_are_augmented_alike(data: Path) -> None:
    corpus = load_videos(C3D, data)
    same = replace(corpus, images=np.repeat(corpus.images[:, :1], T, axis=1))
    net = build_video("c3d", HEADS, **C3D.net_options)
    images, features, _ = VideoBatches(same, Augmentation(), net, drop=0.0, seed=5)[0, 0, torch.arange(12)].inputs
    assert features.numel() == 0
    for frame in range(1, T):
        torch.testing.assert_close(images[:, :, frame], images[:, :, 0])
    assert not torch.equal(images[:, :, 0], torch.from_numpy(same.images[:, :1]).float())


def test_answers_are_to_the_plain_clips(corpus: VideoCorpus) -> None:
    net = build_video("temporal", HEADS, **TEMPORAL.net_options)
    (batch,) = video_validation_loader(corpus, net)
    np.testing.assert_allclose(batch.inputs[1].numpy(), corpus.features.mean(axis=1))
    assert batch.truth["baum8"].tolist() == corpus.truth["baum8"].tolist()


def test_a_held_out_share_shares_no_subject(corpus: VideoCorpus) -> None:
    training, validation = split_videos(corpus, replace(TEMPORAL, validation_share=0.34), "here")
    assert not set(training.subjects) & set(validation.subjects)  # type: ignore[arg-type]
    assert len(training) + len(validation) == 12
    with pytest.raises(DatasetError, match="here needs clips both for training and for validation"):
        split_videos(replace(corpus, splits=np.full(12, "val")), TEMPORAL, "here")


def test_the_net_begins_with_the_means_of_the_training_clips(corpus: VideoCorpus) -> None:
    some = corpus.take(np.arange(12) < 6)
    task = kind_of(TEMPORAL).task(TEMPORAL, some, [])
    shares = some.features[..., :15].mean(axis=1)
    means = (shares * some.mask[..., None]).sum(axis=1) / some.mask.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(task.net.middle.numpy(), means.mean(axis=0), atol=1e-6)


def test_inner_folds_choose_the_likeliest_setting_and_epoch(
    corpus: VideoCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted answers: the second setting is sure of the truth at its third epoch, else all is even."""
    pairs: list[tuple[set[str], set[str]]] = []

    def watched(recipe: Recipe, training: Any, validation: Any, watcher: Any, **_: Any) -> None:
        pairs.append((set(training.subjects), set(validation.subjects)))
        truth = validation.truth["baum8"]
        curve = np.full((recipe.epochs, len(validation), 8), 1 / 8, np.float32)
        if recipe.net_options["pools"] == ["top"]:
            curve[2] = 0.9 * np.eye(8)[truth] + 0.0125
        monkeypatch.setattr(watcher, "curves", lambda: {"baum8": curve})

    monkeypatch.setattr(nested, "watched", watched)
    fold = Videos().dealt(corpus, 2, 0)
    chosen = choose(TEMPORAL, corpus, fold, tmp_path)
    assert chosen.settings == TEMPORAL.choices[1]
    assert chosen.epochs == 3
    assert chosen.accuracy == 1
    assert chosen.nll == pytest.approx(-np.log(0.9125), abs=1e-3)
    assert [part["nll"] for part in chosen.tried] == pytest.approx([np.log(8), -np.log(0.9125)], abs=1e-3)
    np.testing.assert_allclose(chosen.inner["baum8"].argmax(axis=1), corpus.truth["baum8"])
    assert len(pairs) == 4
    assert not any(training & validation for training, validation in pairs)
    pairs.clear()
    assert choose(TEMPORAL, corpus, fold, tmp_path).epochs == 3  # from the kept answers
    assert not pairs
    with pytest.raises(InputError, match=r"inner-0\.npz is of other folds"):
        choose(TEMPORAL, corpus.take(np.arange(11)), fold[:11], tmp_path)
    (tmp_path / "inner-0.npz").write_bytes(b"PK damaged")
    with pytest.raises(DatasetError, match=r"cannot read .*inner-0\.npz: .*; remove it to choose again"):
        choose(TEMPORAL, corpus, fold, tmp_path)


def test_the_tested_clips_choose_nothing(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settled: list[set[str]] = []

    def spy(kind: Any, recipe: Recipe, rows: VideoCorpus, folder: Path, **more: Any) -> Any:
        settled.append(set(rows.names.tolist()))
        assert more["by"] == "subject"
        raise RuntimeError("seen")

    from mien.train import folds as module

    monkeypatch.setattr(module, "settle", spy)
    with pytest.raises(RuntimeError, match="seen"):
        train_folds(TEMPORAL, data=data, out=tmp_path, k=3)
    corpus = load_videos(TEMPORAL, data)
    fold = Videos().dealt(corpus, 3, TEMPORAL.seed)
    assert settled == [set(corpus.names[fold != 0].tolist())]


def test_folds_from_a_folder_to_a_report(data: Path, options: Any, tmp_path: Path) -> None:
    (result,) = train_folds(TEMPORAL, data=data, out=tmp_path, k=2, options=options)
    assert (result.n, result.groups, result.net) == (12, SUBJECTS, "")
    assert len(result.choices) == len(result.epochs) == 2
    assert all(1 <= epoch <= TEMPORAL.epochs for epoch in result.epochs)
    where = tmp_path / "subject-2"
    summary = json.loads((where / "out-of-fold.json").read_text())
    assert [part["net"] for part in summary] == ["tiny-temporal", "face-base, averaged over frames, not trained"]
    assert summary[0]["accuracy"][0] == pytest.approx(result.accuracy)
    report = (where / "report" / "report.md").read_text()
    assert "Settings and epochs were chosen on inner folds" in report
    assert (where / "report" / "confusion.png").stat().st_size > 1000
    lines = (where / "report" / "predictions.csv").read_text().splitlines()
    assert len(lines) == 13
    assert sum(int(line.split(",")[5]) for line in lines[1:]) == round(12 * result.accuracy)
    assert result.choices[0] in (tmp_path / "folds.md").read_text()
    times = {path: path.stat().st_mtime_ns for path in where.glob("fold-*/**/*.*")}
    assert train_folds(TEMPORAL, data=data, out=tmp_path, k=2, options=options) == (result,)
    assert {path: path.stat().st_mtime_ns for path in where.glob("fold-*/**/*.*")} == times


def test_scores_of_members_are_added(data: Path, options: Any, tmp_path: Path) -> None:
    import tomli_w

    videos = replace(C3D.video, size=24)
    for recipe in (replace(TEMPORAL, choices=(), epochs=2), C3D):
        (tmp_path / f"{recipe.name}.toml").write_text(tomli_w.dumps(recipe.to_dict()))
    members = tuple(str(tmp_path / f"{name}.toml") for name in ("tiny-temporal", "tiny-c3d"))
    hybrid = replace(TEMPORAL, name="tiny-hybrid", choices=(), members=members, video=videos)
    both, first, second = train_folds(hybrid, data=data, out=tmp_path / "run", k=2, options=options)
    assert [part.net for part in (both, first, second)] == ["", "tiny-temporal", "tiny-c3d"]
    assert "tiny-c3d" in both.choices[0]
    corpus = load_videos(hybrid, data)
    fold = Videos().dealt(corpus, 2, hybrid.seed)
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
    assert "This split leaks" in (tmp_path / "random-2" / "report" / "report.md").read_text()


def test_a_plain_run_chooses_and_keeps_its_net(data: Path, options: Any, tmp_path: Path) -> None:
    lines: list[str] = []
    folder = train(
        TEMPORAL, data=data, out=tmp_path / "run", options=options, report=lambda text: lines.append(str(text))
    )
    place = folder / "tiny-temporal" / "net"
    choice = json.loads((folder / CHOICE).read_text())["chosen"]["tiny-temporal"]
    net = load_net(place)
    corpus = load_videos(TEMPORAL, data)
    kept = settle(Videos(), TEMPORAL, corpus, folder, options=options).nets["tiny-temporal"]
    again = Videos().answered(kept, corpus)["baum8"]
    np.testing.assert_allclose(Videos().answered(net, corpus)["baum8"], again, atol=1e-6)  # type: ignore[arg-type]
    assert len((place / "history.csv").read_text().splitlines()) == 1 + choice["epochs"]
    assert any("wrote" in line for line in lines)


def test_a_kept_net_is_examined_on_other_clips(data: Path, options: Any, tmp_path: Path) -> None:
    folder = train(replace(TEMPORAL, choices=(), epochs=2), data=data, out=tmp_path / "run", options=options)
    found = examine_videos(str(folder), "baum2", data)
    corpus = load_videos(TEMPORAL, data)
    net = load_net(folder / "tiny-temporal" / "net")
    logits = Videos().answered(net, corpus)["baum8"]  # type: ignore[arg-type]
    np.testing.assert_allclose(found.answers, torch.from_numpy(logits).softmax(dim=1).numpy(), atol=1e-5)
    assert found.figures.accuracy[0] == pytest.approx((logits.argmax(axis=1) == corpus.truth["baum8"]).mean())
    assert found.seen == tuple(f"S{subject:03d}" for subject in range(SUBJECTS))
    place = tmp_path / "report"
    words = ["evaluate", str(folder), "baum2", "--data", str(data)]
    assert CliRunner().invoke(cli, [*words, "--report", str(place)]).exit_code == 0
    assert "learned from 6 of these subjects" in (place / "report.md").read_text()
    done = CliRunner().invoke(cli, [*words[:1], f"face-base,{tmp_path / 'none'}", *words[2:], "--json"])
    assert done.exit_code == 3
    (only,) = json.loads(done.stdout)
    assert only["net"] == "face-base, averaged over frames"
    done = CliRunner().invoke(cli, [*words, "--labels-as", "fer7", "--flip"])
    assert done.exit_code == 2
    assert "--flip and --labels-as: not for clips" in done.stderr
    (folder / CHOICE).write_text("{}")
    with pytest.raises(ModelError, match=r"cannot read .*choice\.json: 'shares'"):
        examine_videos(str(folder), "baum2", data)


def test_macro_f1_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    truth, said = rng.integers(0, 5, 80), rng.integers(0, 6, 80)
    found = figures("x", truth, said, np.arange(80) // 4)
    assert found.macro_f1[0] == pytest.approx(f1_score(truth, said, average="macro"))
    assert found.accuracy[0] == pytest.approx((truth == said).mean())
    assert found.uar[0] == pytest.approx(np.mean([(said[truth == c] == c).mean() for c in range(5)]))
    assert found.macro_f1[1] <= found.macro_f1[0] <= found.macro_f1[2]
    assert (found.n, found.groups) == (80, 20)


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


def test_a_choice_made_is_a_plain_recipe() -> None:
    own = plain(TEMPORAL, TEMPORAL.choices[1])
    assert own.net_options["pools"] == ["top"]
    assert own.optimizer.weight_decay == 2.0
    assert (own.inner_folds, own.choices) == (0, ())
    assert plain(TEMPORAL, "").optimizer == TEMPORAL.optimizer
    assert Recipe.from_dict(TEMPORAL.to_dict()) == TEMPORAL


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


def test_what_does_not_fit_is_named(data: Path, corpus: VideoCorpus, options: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"its net takes 4 frames of 48 pixels, but .video. gives 6 of 48"):
        load_videos(replace(TEMPORAL, video=Video(frames=6)), data)
    with pytest.raises(
        InputError, match=r"face-base tells 15 answers and an embedding of 256: .* which are 15 and 128"
    ):
        load_videos(replace(TEMPORAL, net_options={"frames": T, "embedding": 128}), data)
    with pytest.raises(InputError, match="clips are read by a face model, but 'speech-base' is one for speech-emotion"):
        FrameReader("speech-base")
    with pytest.raises(InputError, match="baum2 takes no file of labels"):
        train_folds(TEMPORAL, data=data, labels=data, out=tmp_path, options=options)
    with pytest.raises(InputError, match="is for clips: only recordings are measured in noise"):
        train_folds(TEMPORAL, data=data, noise=True, out=tmp_path, options=options)
    mixed = replace(TEMPORAL, loss=replace(TEMPORAL.loss, mixup=0.2))
    with pytest.raises(InputError, match="clips take neither mixup nor teachers"):
        kind_of(mixed).task(mixed, corpus, [])
    faces = Recipe(name="faces", inner_folds=2)
    with pytest.raises(InputError, match="only nets for clips choose on inner folds without --folds"):
        train(faces, data=data, out=tmp_path / "faces", options=options)
    with pytest.raises(InputError, match="frames and size must be at least 1 and drop in"):
        Video(drop=1.0)
    with pytest.raises(InputError, match="recipe 'tiny-temporal' is for clips: a preview shows images"):
        preview(TEMPORAL, data=data, out=tmp_path / "preview.png")
    split = replace(TEMPORAL, dataset="video_folder")
    with pytest.raises(DatasetError):
        load_videos(split, tmp_path / "nothing")
