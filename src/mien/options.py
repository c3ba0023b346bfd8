"""The options of an analysis, stated once for the library, the command line and services."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from mien._checks import check_number
from mien.errors import InputError

__all__ = [
    "AudioOptions",
    "ModelOptions",
    "VideoOptions",
    "check_channel",
    "check_unknown",
    "frame_step_s",
    "make_options",
    "option",
]

DEFAULT_MAX_PIXELS = 200_000_000
MOST_FRAME_PIXELS = 80_000_000
"""Largest width x height that is decoded: 600 MB of RGB."""

CHANNELS = {"mix": None, "each": None, "left": 1, "right": 2}
"""Names of what is read of the channels of sound, with the number of those that are one."""


def option(default: Any, help_text: str, *, flag: str | None = None, **more: Any) -> Any:
    """Return a field of options with what a command line needs.

    Parameters
    ----------
    default : object
        The default.
    help_text : str
        One line.
    flag : str, optional
        Name of the command line's option; by default that of the field.
    **more
        ``choices`` (tuple of str), ``metavar``, ``low`` (least integer), ``is_time`` (seconds, ``m:ss`` or
        ``h:mm:ss``), ``default_text`` (what the default means), ``check`` (raises `InputError` for a wrong value) and
        ``kinds`` (of sources that it does something for).
    """
    return field(default=default, metadata={"help": help_text, "flag": flag, **more})


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Which models read faces and voices, and how they run.

    Parameters
    ----------
    model : str, os.PathLike or ModelSpec
        What reads faces: a shipped model, a ``model.toml`` or a run folder.
    speech_model : str, os.PathLike or ModelSpec
        What reads voices.
    output : str, optional
        Which output of the model is used, or a label set to map to; by default the model's own.
    detector : str or Detector
        What finds faces: a name (see `mien.face.detect.DETECTORS`), or an object with the detector protocol.
        ``"none"`` takes each image as one face: a ready crop.
    min_face_px : float, optional
        Longer side in pixels of the smallest face's box; by default 20, and more above 6.25 megapixels.
    threads : int, optional
        Threads of one computation; by default the cores of the process, at most four; for videos, which are decoded
        beside it, one.
    device : {"cpu", "cuda"}
        Where the models run.
    engine : {"onnxruntime", "openvino"}
        What runs them.
    precision : {"float32", "bfloat16", "int8"}
        bfloat16 is for OpenVINO; int8 for models that have such a graph.
    flip : bool
        Average the prediction of each face with that of its mirror image, which takes twice the time.
    max_pixels : int, optional
        Largest width x height to decode; by default 200 million of images, and 80 million of video frames, of which a
        decoder keeps several.
    """

    model: Any = option("face-base", "Model for faces.")
    speech_model: Any = option("speech-base", "Model for voices.")
    output: str | None = option(
        None,
        "Output of the model to use, or a label set such as fer7.",
        flag="labels-as",
        metavar="OUTPUT",
    )
    detector: Any = option("mtcnn", "Face detector: mtcnn, haar or yunet; none takes each image as one face.")
    min_face_px: float | None = option(
        None,
        "Longer side of the smallest face to find.",
        flag="min-face",
        metavar="PX",
        default_text="20; more above 6 megapixels",
        kinds=("image", "video"),
    )
    threads: int | None = option(None, "Number of items, or threads for one item.", low=1, default_text="cores")
    device: str = option("cpu", "Device: cpu or cuda.")
    engine: str = option(
        "onnxruntime",
        "Runtime for emotions; openvino needs the extra openvino. Faces are always detected with onnxruntime.",
        choices=("onnxruntime", "openvino"),
    )
    precision: str = option(
        "float32",
        "bfloat16 needs openvino; int8 needs a face model that has it.",
        choices=("float32", "bfloat16", "int8"),
    )
    flip: bool = option(
        False, "Average each face's prediction with that of its mirror image: twice the time.", kinds=("image", "video")
    )
    max_pixels: int | None = option(
        None,
        "Largest width x height to decode.",
        low=1,
        default_text=f"{DEFAULT_MAX_PIXELS} of images, {MOST_FRAME_PIXELS} of frames",
    )


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """What is read of a video, and how its emotions are found.

    Parameters
    ----------
    step_s : float
        Seconds from one analyzed frame to the next, by the video's own times; zero takes every frame.
    from_s, to_s : float, optional
        What is analyzed, of audio files, too; by default all.
    max_faces : int, optional
        Only the largest faces of a frame.
    min_seen_s : float
        Leave out people who are never seen for so many seconds at a stretch.
    smooth_s : float
        Time constant of the smoothing in seconds; zero smooths nothing.
    method : {"timeline", "middle-frame", "every-nth", "majority-vote"}
        How the video gets its one emotion, see `mien.VideoResult`; but for the timeline, the method also says which
        frames are read, each by itself.
    voice : bool
        Read the sound, too, where there is some.
    fusion : str
        How face and voice become one emotion, see `mien.fuse`.
    clip_model : str, os.PathLike or ModelSpec, optional
        A run folder of ``mien train`` with a recipe for clips: its model predicts one emotion for each person and for
        the video, beside the frames.
    baseline : float, str or os.PathLike, optional
        A face at rest, whose predictions are subtracted from those of the faces: an image or video of the person, for
        videos of that person alone, or how many seconds each person is at rest after coming into view first.
    baseline_strength : float
        How much of it is subtracted, from 0 to 1; see `mien.face.adapt.baseline_bias`.
    """

    step_s: float = option(0.2, "Seconds between analyzed frames; 0 takes every frame.", flag="step", metavar="S")
    from_s: float = option(
        0.0,
        "Start time: seconds, m:ss or h:mm:ss; also of audio files.",
        flag="from",
        metavar="T",
        is_time=True,
        default_text="0",
        kinds=("audio", "video"),
    )
    to_s: float | None = option(
        None, "End time.", flag="to", metavar="T", is_time=True, default_text="the end", kinds=("audio", "video")
    )
    max_faces: int | None = option(
        None, "Use only the N largest faces of each frame.", metavar="N", low=1, default_text="all"
    )
    min_seen_s: float = option(
        0.0, "Omit people who are never in view for S seconds at a stretch.", flag="min-seen", metavar="S"
    )
    smooth_s: float = option(
        0.4, "Time constant of the smoothing in seconds; 0 disables it.", flag="smooth", metavar="S"
    )
    method: str = option(
        "timeline",
        "How to choose the one emotion of a video.",
        choices=("timeline", "middle-frame", "every-nth", "majority-vote"),
    )
    voice: bool = option(True, "Read the voice, too.")
    fusion: str = option(
        "experts",
        "How to combine face and voice.",
        choices=("experts", "average", "most_confident", "rule_table"),
    )
    clip_model: Any = option(
        None, "Run folder of a model for clips, used in addition to the face model.", metavar="DIR"
    )
    baseline: Any = option(
        None,
        "Image or video of the person at rest, or seconds of rest at first: subtract what it shows.",
        metavar="FILE|S",
        is_time=True,
    )
    baseline_strength: float = option(0.1, "How much of the baseline to subtract, from 0 to 1.", metavar="0..1")


def check_channel(value: str | int) -> str | int:
    """Return which channel of sound is read: a name of `CHANNELS`, or a number from 1.

    Raises
    ------
    InputError
        If it is neither.
    """
    if value in CHANNELS or (str(value).isdecimal() and int(value) > 0):
        return value
    raise InputError(f"channel must be {', '.join(CHANNELS)} or a number from 1, but got {value!r}")


@dataclass(frozen=True, slots=True)
class AudioOptions:
    """Which sound is read, and how speech is cut.

    Parameters
    ----------
    channel : {"mix", "each", "left", "right"} or int
        Which channel of a file is read: all together; each as a voice of its own, as of a call with a speaker on each
        side; or only one, by name or number (the left is 1).
    window_s, hop_s : float, optional
        Length of the windows over long speech, and the way from one to the next; by default the model's.
    """

    channel: str | int = option(
        "mix",
        "Which channel is read: all mixed, each as a voice of its own, or one, by name or number.",
        metavar="mix|each|left|right|N",
        check=check_channel,
    )
    window_s: float | None = option(
        None, "Length of the windows over speech, in seconds.", flag="window", metavar="S", default_text="the model's"
    )
    hop_s: float | None = option(
        None,
        "Seconds between the starts of windows.",
        flag="hop",
        metavar="S",
        default_text="the model's, or half of --window",
    )

    def __post_init__(self) -> None:
        check_channel(self.channel)


Options = TypeVar("Options", ModelOptions, VideoOptions, AudioOptions)


def make_options(kind: type[Options], values: dict[str, Any]) -> Options:
    """Take the options of a kind out of keywords.

    Parameters
    ----------
    kind : type
        `ModelOptions`, `VideoOptions` or `AudioOptions`.
    values : dict
        Keywords; those of the kind are removed.
    """
    names = [entry.name for entry in fields(kind)]
    return kind(**{name: values.pop(name) for name in names if name in values})


def check_unknown(values: dict[str, Any], *kinds: type) -> None:
    """Raise `InputError` for keywords that are no options.

    Raises
    ------
    InputError
        The message lists the options there are.
    """
    if values:
        known = [entry.name for kind in kinds for entry in fields(kind)]
        raise InputError(f"unknown option {next(iter(values))!r}: expected one of {', '.join(known)}")


def frame_step_s(step_s: float | None, fps: float | None) -> float:
    """Return seconds from one analyzed frame to the next, which are given as such or as frames per second.

    Raises
    ------
    InputError
        If both are given, or one makes no sense.
    """
    if step_s is not None and fps is not None:
        raise InputError("give step_s or fps, not both")
    if fps is not None:
        return 1 / check_number(fps, "fps", low=1e-3, high=1e6)
    return VideoOptions().step_s if step_s is None else check_number(step_s, "step_s", low=0)
