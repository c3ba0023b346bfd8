"""``mien evaluate --fusion``: faces and voices together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.core import ParameterSource

from mien.cli import _shell
from mien.cli.data.options import choose, open_images

if TYPE_CHECKING:
    from mien.data import Samples
    from mien.evaluate.fusion_answers import SideAnswers

__all__ = ["fusion_asked", "fusion_options"]

_METHODS = ("experts", "average", "most_confident", "rule_table")
"""Those of `mien.fusion`, which is not imported for the sake of a help text."""

_OPTIONS = ("faces", "speech", "speech_folds", "videos", "images")

_FOLDS = 5
_SPLIT = "PublicTest"
"""Faces of FER2013 that the face nets did not learn from; PrivateTest is the examination."""


class _Voices(NamedTuple):
    clips: Samples
    answer: Callable[[Any, int], Any]
    fold: Any
    rate_hz: int


def fusion_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of ``--fusion`` to a command."""
    for option in reversed(
        (
            click.option(
                "--fusion", type=click.Choice(_METHODS), help="Examine fusions of face and voice; show this one."
            ),
            click.option(
                "--faces", metavar="[NAME=]PATH", help="Fusion: labeled faces, by default FER2013's PublicTest."
            ),
            click.option("--speech", metavar="[NAME=]PATH", help="Fusion: a corpus of speech, by default RAVDESS."),
            click.option(
                "--speech-folds",
                type=click.Path(path_type=Path, file_okay=False),
                help="Fusion: folder of `mien train --folds`; each net answers speakers that it has not heard.",
            ),
            click.option("--videos", metavar="[NAME=]PATH", help="Fusion: labeled videos instead of simulated pairs."),
            click.option("--images", default="1,3", show_default=True, help="Fusion: images of a pair, one or more."),
        )
    ):
        command = option(command)
    return command


def fusion_asked(
    fused: dict[str, Any],
    models: list[str],
    dataset: str | None,
    *,
    report: Path | None,
    as_json: bool,
    threads: int | None,
) -> int | None:
    """Examine fusions where that is asked for, and return the exit code; None where it is not."""
    context = click.get_current_context()
    given = [name for name in _OPTIONS if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    flags = {name: f"--{name.replace('_', '-')}" for name in given}
    if fused["fusion"] is None:
        if given:
            raise click.UsageError(f"{' and '.join(flags.values())}: only with --fusion")
        return None
    if dataset is not None:
        raise click.UsageError(f"--fusion takes its data by --faces and --speech, or --videos, but got {dataset!r}")
    if fused["videos"] is not None:
        if others := [flags[name] for name in given if name != "videos"]:
            raise click.UsageError(f"--videos goes without {' and '.join(others)}")
        return _videos(fused["fusion"], models, fused["videos"], threads=threads, report=report, as_json=as_json)
    if fused["faces"] is None or fused["speech"] is None:
        raise click.UsageError("--fusion needs --faces and --speech, or --videos")
    chosen = {name: context.params[name] for name in ("split", "labels", "protocol")}
    return _pairs(fused, models, chosen, threads=threads, report=report, as_json=as_json)


def _pairs(
    fused: dict[str, Any],
    models: list[str],
    chosen: dict[str, Any],
    *,
    threads: int | None,
    report: Path | None,
    as_json: bool,
) -> int:
    """Examine fusions on simulated pairs, show and write what comes of it, and return the exit code."""
    import numpy as np

    from mien.evaluate.fusion import Material, examine_fusion
    from mien.evaluate.fusion_answers import FACE_CASES, VOICE_CASES
    from mien.evaluate.fusion_answers import faces as face_answers
    from mien.evaluate.fusion_answers import voices as voice_answers
    from mien.evaluate.fusion_pairs import common_labels, image_folds
    from mien.evaluate.fusion_report import fusion_json, fusion_text, write_fusion_folder
    from mien.evaluate.noise import Waves
    from mien.evaluate.speech_answers import together

    method, lengths = fused["fusion"], _lengths(fused["images"])
    face_model, speech_model = _models(models)
    data, face_prior, answer = _faces(fused["faces"], face_model, threads=threads, **chosen)
    heard = _voices(fused["speech"], speech_model, fused["speech_folds"], threads)
    face_labels, voice_labels = (common_labels(d.labels, d.label_set) for d in (data, heard.clips))
    with _shell.progress(len(data) * len(FACE_CASES), "looking", unit="images") as advance:
        seen = {case: face_answers(answer, data, case, progress=advance) for case in FACE_CASES}
    read = Waves(heard.clips, rate_hz=heard.rate_hz)
    told: dict[str, SideAnswers] = {}
    with _shell.progress(len(heard.clips) * len(VOICE_CASES), "listening", unit="recordings") as advance:
        for case in VOICE_CASES:
            told[case] = voice_answers(heard.answer, heard.clips, read, case, rate_hz=heard.rate_hz, progress=advance)
    counts = np.bincount(voice_labels[voice_labels >= 0], minlength=7) + 1.0
    material = Material(
        seen,
        told,
        face_labels,
        voice_labels,
        image_folds(data, face_labels, int(heard.fold.max()) + 1),
        heard.fold,
        together(heard.clips)[0],
        face_prior,
        counts / counts.sum(),
    )
    result = examine_fusion(material, lengths=lengths, report=_shell.note)
    if report is not None:
        folds = " --speech-folds FOLDS" if fused["speech_folds"] else ""
        write_fusion_folder(
            report, result, command=f"mien evaluate --fusion {method} --faces DATA --speech DATA{folds}"
        )
        _shell.note(f"wrote {report}")
    _shell.write(fusion_json(result) if as_json else fusion_text(result, method=method))
    return 0


def _videos(
    method: str, models: list[str], videos: str, *, threads: int | None, report: Path | None, as_json: bool
) -> int:
    """Examine fusions on labeled videos, show and write what comes of it, and return the exit code."""
    from mien.data import dataset_names, load_dataset
    from mien.evaluate.fusion_videos import examine_videos, videos_json, videos_text, write_videos_folder
    from mien.evaluate.models import find_model
    from mien.speech.analyzer import SpeechAnalyzer
    from mien.video.analyzer import VideoAnalyzer

    name, path = _named(videos, "video_folder", dataset_names("video"))
    clips = load_dataset(name, path)
    face_model, speech_model = _models(models)
    watcher = VideoAnalyzer(find_model(face_model), threads=threads or 1)
    listener = SpeechAnalyzer(find_model(speech_model), threads=threads or 1)
    with _shell.progress(len(clips), "watching", unit="videos") as advance:
        result = examine_videos(clips, watcher, listener, progress=advance)
    for problem in result.problems[:10]:
        _shell.note(problem)
    if report is not None:
        write_videos_folder(report, result, command=f"mien evaluate --fusion {method} --videos DATA")
        _shell.note(f"wrote {report}")
    _shell.write(videos_json(result) if as_json else videos_text(result, method=method))
    return _shell.SOME_FAILED if result.problems else 0


def _lengths(images: str) -> tuple[int, ...]:
    try:
        found = tuple(int(word) for word in images.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1 or len(set(found)) != len(found):
        raise click.UsageError(f"--images must be integers such as 1,3, but is {images!r}")
    return found


def _models(models: list[str]) -> tuple[str, str]:
    if len(models) > 2:
        raise click.UsageError(f"--fusion takes a face model and a speech model, but got {len(models)} models")
    face, speech = [*models, "face-base", "speech-base"][:1], [*models[1:], "speech-base"][:1]
    return face[0], speech[0]


def _named(words: str, default: str, known: Any) -> tuple[str, Path]:
    name, sign, path = words.partition("=")
    if not sign:
        return default, Path(words)
    if name not in known:
        raise click.UsageError(f"unknown data set {name!r}: expected one of {', '.join(known)}")
    return name, Path(path)


def _faces(
    words: str, model: str, *, split: str | None, labels: Path | None, protocol: str | None, threads: int | None
) -> tuple[Samples, Any, Callable[[Any], Any]]:
    """Return the faces, how frequent emotions are in what the model learned from, and what answers."""
    import numpy as np

    from mien.evaluate.answers import choose_output
    from mien.evaluate.calibration import softmax
    from mien.evaluate.examine import take_split
    from mien.evaluate.fusion_pairs import common_labels
    from mien.evaluate.models import find_model
    from mien.face.analyzer import FaceAnalyzer
    from mien.labels import FER7, mapping

    analyzer = FaceAnalyzer(find_model(model), threads=threads)
    name, sign, path = words.partition("=")
    choice = choose(name, Path(path), labels=labels, protocol=protocol) if sign else choose(words, labels=labels)
    whole = open_images(choice, size=analyzer.size)
    usual = _SPLIT if _SPLIT in whole.split_names() else None
    rows, training = take_split(whole, split or usual)
    output = choose_output(analyzer.spec, rows.label_set)
    learned = common_labels((rows if training is None else training).labels, rows.label_set)
    counts = np.bincount(learned[learned >= 0], minlength=len(FER7)) + 1.0
    common = mapping(output.labels, FER7)

    def answer(crops: Any) -> Any:
        return common.apply(softmax(analyzer.logits(crops)[output.name], temperature=output.temperature))

    return rows, counts / counts.sum(), answer


def _voices(words: str, model: str, folds: Path | None, threads: int | None) -> _Voices:
    """Return recordings with what answers to each: nothing that has heard its speaker in training."""
    from mien.data import dataset_names, load_dataset

    name, path = _named(words, "ravdess", dataset_names("audio"))
    clips = load_dataset(name, path)
    if folds is not None:
        from mien._extras import import_extra

        import_extra("torch", extra="train", purpose="--speech-folds")
        from mien.train.after_folds import FoldVoices

        nets = FoldVoices(folds, clips, report=_shell.note)
        return _Voices(clips, nets, nets.fold, nets.rate_hz)
    return _unheard(clips, model, threads)


def _unheard(clips: Samples, model: str, threads: int | None) -> _Voices:
    import numpy as np

    from mien.data.splits import folds
    from mien.evaluate.models import find_model
    from mien.evaluate.speech_answers import heard_speakers
    from mien.labels import FER7, mapping
    from mien.speech.analyzer import SpeechAnalyzer

    analyzer = SpeechAnalyzer(find_model(model), threads=threads or 1)
    heard = heard_speakers(analyzer.spec.training, clips.name) or frozenset()
    new = ~np.isin(clips.subjects, sorted(heard))
    if not new.any():
        raise click.UsageError(
            f"{analyzer.spec.name} has heard all speakers of {clips.name} in training: give --speech-folds, "
            "or recordings of others"
        )
    if not new.all():
        _shell.note(
            f"{int((~new).sum())} recordings left out: {analyzer.spec.name} has heard their speakers in training"
        )
    clips = clips.take(new)
    common = mapping(analyzer.output.labels, FER7)
    rate_hz = analyzer.sound.rate_hz

    def answer(wave: Any, _: int) -> Any:
        logits = analyzer.clip_logits(wave, rate_hz=rate_hz)[analyzer.output.name]
        return common.apply(analyzer.probabilities(logits))

    speakers = len(np.unique(clips.subjects))
    return _Voices(clips, answer, folds(clips, min(_FOLDS, max(speakers, 2))), rate_hz)
