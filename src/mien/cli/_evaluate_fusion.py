"""``mien evaluate --fusion``: faces and voices together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from mien.cli import shell
from mien.cli.data.options import choose, choose_named, is_given, note_some, open_images

if TYPE_CHECKING:
    from mien.data import Samples
    from mien.evaluate.fusion import FusionEvaluation, VideoFusionEvaluation

__all__ = ["evaluate_fusion", "fusion_options"]

_METHODS = ("experts", "average", "most_confident", "rule_table")
"""Those of `mien.fusion`, which is not imported for the sake of a help text."""

_OPTIONS = ("faces", "speech", "speech_folds", "videos", "images")

_FOLDS = 5
_SPLIT = "PublicTest"
"""Faces of FER2013 that the face models did not learn from; PrivateTest is kept for releases."""


class _Faces(NamedTuple):
    samples: Samples
    prior: Any
    predict: Callable[[Any], Any]


class _Voices(NamedTuple):
    samples: Samples
    predict: Callable[[Any, int], Any]
    fold: Any
    rate_hz: int


def fusion_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of ``--fusion`` to a command."""
    for option in reversed(
        (
            click.option(
                "--fusion", type=click.Choice(_METHODS), help="Evaluate fusions of face and voice; show this one."
            ),
            click.option(
                "--faces", metavar="[NAME=]PATH", help="Fusion: labeled faces, by default FER2013's PublicTest."
            ),
            click.option("--speech", metavar="[NAME=]PATH", help="Fusion: a dataset of speech, by default RAVDESS."),
            click.option(
                "--speech-folds",
                type=click.Path(path_type=Path, file_okay=False),
                help="Fusion: folder of `mien train --folds`; each network predicts subjects it did not learn from.",
            ),
            click.option("--videos", metavar="[NAME=]PATH", help="Fusion: labeled videos instead of simulated pairs."),
            click.option("--images", default="1,3", show_default=True, help="Fusion: images of a pair, one or more."),
        )
    ):
        command = option(command)
    return command


def evaluate_fusion(
    options: dict[str, Any],
    models: list[str],
    dataset: str | None,
    *,
    report: Path | None,
    as_json: bool,
    threads: int | None,
) -> int | None:
    """Evaluate fusions where ``--fusion`` is given, and return the exit code; None where it is not."""
    given = [name for name in _OPTIONS if is_given(name)]
    flags = {name: f"--{name.replace('_', '-')}" for name in given}
    method = options["fusion"]
    if method is None:
        if given:
            raise click.UsageError(f"{' and '.join(flags.values())}: only with --fusion")
        return None
    if dataset is not None:
        raise click.UsageError(f"--fusion takes its data by --faces and --speech, or --videos, but got {dataset!r}")
    if len(models) > 2:
        raise click.UsageError(f"--fusion takes a face model and a speech model, but got {len(models)} models")
    face_model, speech_model = [*models, *("face-base", "speech-base")[len(models) :]]
    evaluation: FusionEvaluation | VideoFusionEvaluation
    if options["videos"] is not None:
        if others := [flags[name] for name in given if name != "videos"]:
            raise click.UsageError(f"--videos goes without {' and '.join(others)}")
        evaluation = videos = _evaluate_videos(options["videos"], face_model, speech_model, threads)
        note_some(videos.problems)
        command, code = "--videos DATA", shell.SOME_FAILED if videos.problems else 0
    else:
        if options["faces"] is None or options["speech"] is None:
            raise click.UsageError("--fusion needs --faces and --speech, or --videos")
        images = {name: click.get_current_context().params[name] for name in ("split", "labels", "protocol")}
        evaluation = _evaluate_pairs(options, face_model, speech_model, images, threads)
        folds = " --speech-folds FOLDS" if options["speech_folds"] else ""
        command, code = f"--faces DATA --speech DATA{folds}", 0
    if report is not None:
        from mien.evaluate.fusion import write_fusion_report

        write_fusion_report(report, evaluation, command=f"mien evaluate --fusion {method} {command}")
        shell.note(f"wrote {report}")
    plain = evaluation.to_dict()
    shell.write(
        json.dumps(plain, indent=2, allow_nan=False, ensure_ascii=False) if as_json else evaluation.to_text(method)
    )
    return code


def _evaluate_pairs(
    options: dict[str, Any], face_model: str, speech_model: str, images: dict[str, Any], threads: int | None
) -> FusionEvaluation:
    """Evaluate fusions on simulated pairs."""
    import numpy as np

    from mien.evaluate import fusion
    from mien.evaluate import fusion_pairs as simulation
    from mien.evaluate.noise import Waves
    from mien.evaluate.predictions import resampling_groups

    lengths = _parse_lengths(options["images"])
    faces = _open_faces(options["faces"], face_model, threads=threads, **images)
    voices = _open_voices(options["speech"], speech_model, options["speech_folds"], threads)
    face_labels, voice_labels = (
        simulation.common_labels(s.labels, s.label_set) for s in (faces.samples, voices.samples)
    )
    count = len(faces.samples) * len(simulation.FACE_CASES)
    with shell.progress(count, "predicting faces", unit="images") as advance:
        by_face = {
            case: simulation.predict_faces(faces.predict, faces.samples, case, progress=advance)
            for case in simulation.FACE_CASES
        }
    waves = Waves(voices.samples, rate_hz=voices.rate_hz)
    count = len(voices.samples) * len(simulation.VOICE_CASES)
    with shell.progress(count, "predicting speech", unit="clips") as advance:
        by_voice = {
            case: simulation.predict_voices(
                voices.predict, voices.samples, waves, case, rate_hz=voices.rate_hz, progress=advance
            )
            for case in simulation.VOICE_CASES
        }
    material = simulation.Material(
        by_face,
        by_voice,
        face_labels,
        voice_labels,
        simulation.image_folds(faces.samples, face_labels, int(voices.fold.max()) + 1),
        voices.fold,
        resampling_groups(voices.samples)[0],
        faces.prior,
        _prior(np, voice_labels),
    )
    return fusion.evaluate_fusion(material, lengths=lengths, report=shell.note)


def _prior(np: Any, labels: Any) -> Any:
    """Return how frequent the seven emotions are, float64 (7,), each counted once more than it occurs."""
    counts = np.bincount(labels[labels >= 0], minlength=7) + 1.0
    return counts / counts.sum()


def _evaluate_videos(videos: str, face_model: str, speech_model: str, threads: int | None) -> VideoFusionEvaluation:
    """Evaluate fusions on labeled videos."""
    from mien.data import load_dataset
    from mien.evaluate.fusion import evaluate_fusion_on_videos
    from mien.evaluate.runs import find_model
    from mien.speech.analyzer import SpeechAnalyzer
    from mien.video.analyzer import VideoAnalyzer

    choice = choose_named(videos if "=" in videos else f"video_folder={videos}", kinds=("video",))
    samples = load_dataset(choice.name, choice.path)
    faces = VideoAnalyzer(find_model(face_model), threads=threads or 1)
    voices = SpeechAnalyzer(find_model(speech_model), threads=threads or 1)
    with shell.progress(len(samples), "analyzing", unit="videos") as advance:
        return evaluate_fusion_on_videos(samples, faces, voices, progress=advance)


def _parse_lengths(images: str) -> tuple[int, ...]:
    try:
        found = tuple(int(word) for word in images.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1 or len(set(found)) != len(found):
        raise click.UsageError(f"--images must be integers such as 1,3, but is {images!r}")
    return found


def _open_faces(
    words: str, model: str, *, split: str | None, labels: Path | None, protocol: str | None, threads: int | None
) -> _Faces:
    """Return the faces, how frequent emotions are in what the model learned from, and what predicts them."""
    import numpy as np

    from mien.evaluate import softmax, take_split
    from mien.evaluate.fusion_pairs import common_labels
    from mien.evaluate.predictions import choose_output
    from mien.evaluate.runs import find_model
    from mien.face.analyzer import FaceAnalyzer
    from mien.labels import FER7, mapping

    analyzer = FaceAnalyzer(find_model(model), threads=threads)
    name, sign, path = words.partition("=")
    choice = choose(name, Path(path), labels=labels, protocol=protocol) if sign else choose(words, labels=labels)
    whole = open_images(choice, size=analyzer.size)
    samples, training = take_split(whole, split or (_SPLIT if _SPLIT in whole.split_names() else None))
    output = choose_output(analyzer.spec, samples.label_set, dataset=samples.name)
    learned = common_labels((samples if training is None else training).labels, samples.label_set)
    common = mapping(output.labels, FER7)

    def predict(crops: Any) -> Any:
        return common.apply(softmax(analyzer.logits(crops)[output.name], temperature=output.temperature))

    return _Faces(samples, _prior(np, learned), predict)


def _open_voices(words: str, model: str, folds: Path | None, threads: int | None) -> _Voices:
    """Return clips with what predicts each: nothing that saw its subject in training."""
    from mien.data import load_dataset

    choice = choose_named(words if "=" in words else f"ravdess={words}", kinds=("audio",))
    samples = load_dataset(choice.name, choice.path)
    if folds is None:
        return _open_unseen_voices(samples, model, threads)
    from mien._extras import import_extra

    import_extra("torch", extra="train", purpose="--speech-folds")
    from mien.train.after_folds import FoldVoices

    models = FoldVoices(folds, samples, report=shell.note)
    return _Voices(samples, models, models.fold, models.rate_hz)


def _open_unseen_voices(samples: Samples, model: str, threads: int | None) -> _Voices:
    import numpy as np

    from mien.data.splits import folds
    from mien.evaluate.predictions import training_subjects
    from mien.evaluate.runs import find_model
    from mien.labels import FER7, mapping
    from mien.speech.analyzer import SpeechAnalyzer

    analyzer = SpeechAnalyzer(find_model(model), threads=threads or 1)
    name = analyzer.spec.name
    seen = training_subjects(analyzer.spec.training, samples.name) or frozenset()
    unseen = ~np.isin(samples.subjects, sorted(seen))
    if not unseen.any():
        raise click.UsageError(
            f"{name} learned from all subjects of {samples.name}: give --speech-folds, or clips of others"
        )
    if not unseen.all():
        shell.note(f"{int((~unseen).sum())} clips left out: {name} learned from their subjects")
    samples = samples.take(unseen)
    common = mapping(analyzer.output.labels, FER7)
    rate_hz = analyzer.sound.rate_hz

    def predict(wave: Any, _: int) -> Any:
        logits = analyzer.clip_logits(wave, rate_hz=rate_hz)[analyzer.output.name]
        return common.apply(analyzer.probabilities(logits))

    subjects = len(np.unique(samples.subjects))
    return _Voices(samples, predict, folds(samples, min(_FOLDS, max(subjects, 2))), rate_hz)
