"""mien reads emotion from faces and voices: offline, fast, and honest about its numbers.

>>> import mien
>>> result = mien.analyze("team.jpg")  # doctest: +SKIP
>>> [face.emotion.top for face in result.faces]  # doctest: +SKIP
['happiness', 'neutral']
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mien.api import analyze as analyze
    from mien.api import analyze_audio as analyze_audio
    from mien.api import analyze_image as analyze_image
    from mien.api import analyze_images as analyze_images
    from mien.api import analyze_many as analyze_many
    from mien.api import analyze_speech as analyze_speech
    from mien.api import analyze_video as analyze_video
    from mien.api import iter_speech as iter_speech
    from mien.api import iter_video as iter_video
    from mien.api import prepare_faces as prepare_faces
    from mien.api import read_image as read_image
    from mien.errors import DatasetError as DatasetError
    from mien.errors import DecodeError as DecodeError
    from mien.errors import InputError as InputError
    from mien.errors import MediaError as MediaError
    from mien.errors import MediaNotFoundError as MediaNotFoundError
    from mien.errors import MienError as MienError
    from mien.errors import MienWarning as MienWarning
    from mien.errors import MissingExtraError as MissingExtraError
    from mien.errors import ModelError as ModelError
    from mien.errors import UnknownModelError as UnknownModelError
    from mien.errors import UnsupportedMediaError as UnsupportedMediaError
    from mien.errors import WeightsError as WeightsError
    from mien.face.analyzer import FaceAnalyzer as FaceAnalyzer
    from mien.fusion import fuse as fuse
    from mien.io.audio import Audio as Audio
    from mien.io.audio import iter_audio as iter_audio
    from mien.io.audio import read_audio as read_audio
    from mien.io.video import Frame as Frame
    from mien.io.video import iter_frames as iter_frames
    from mien.labels import BAUM8 as BAUM8
    from mien.labels import FER7 as FER7
    from mien.labels import FERPLUS8 as FERPLUS8
    from mien.labels import RAVDESS8 as RAVDESS8
    from mien.labels import LabelSet as LabelSet
    from mien.live import iter_live as iter_live
    from mien.options import AudioOptions as AudioOptions
    from mien.options import ModelOptions as ModelOptions
    from mien.options import VideoOptions as VideoOptions
    from mien.output.draw import draw as draw
    from mien.output.timeline import plot_timeline as plot_timeline
    from mien.output.video import draw_video as draw_video
    from mien.output.write import write as write
    from mien.output.write import write_wav as write_wav
    from mien.results import Emotion as Emotion
    from mien.results import EmotionSegment as EmotionSegment
    from mien.results import Face as Face
    from mien.results import FaceTrack as FaceTrack
    from mien.results import FailedItem as FailedItem
    from mien.results import FusedResult as FusedResult
    from mien.results import FusedSegment as FusedSegment
    from mien.results import ImageResult as ImageResult
    from mien.results import Moment as Moment
    from mien.results import PersonSummary as PersonSummary
    from mien.results import SpeechResult as SpeechResult
    from mien.results import SpeechSegment as SpeechSegment
    from mien.results import SpeechSummary as SpeechSummary
    from mien.results import TrackedFace as TrackedFace
    from mien.results import VideoFrame as VideoFrame
    from mien.results import VideoResult as VideoResult
    from mien.results import VideoSummary as VideoSummary
    from mien.speech.analyzer import SpeechAnalyzer as SpeechAnalyzer
    from mien.speech.analyzer import SpeechStream as SpeechStream
    from mien.video.analyzer import FaceStream as FaceStream
    from mien.video.analyzer import VideoAnalyzer as VideoAnalyzer

_HOMES = {
    "mien.api": (
        "analyze",
        "analyze_audio",
        "analyze_image",
        "analyze_images",
        "analyze_many",
        "analyze_speech",
        "analyze_video",
        "iter_speech",
        "iter_video",
        "prepare_faces",
        "read_image",
    ),
    "mien.errors": (
        "DatasetError",
        "DecodeError",
        "InputError",
        "MediaError",
        "MediaNotFoundError",
        "MienError",
        "MienWarning",
        "MissingExtraError",
        "ModelError",
        "UnknownModelError",
        "UnsupportedMediaError",
        "WeightsError",
    ),
    "mien.face.analyzer": ("FaceAnalyzer",),
    "mien.fusion": ("fuse",),
    "mien.io.audio": ("Audio", "iter_audio", "read_audio"),
    "mien.io.video": ("Frame", "iter_frames"),
    "mien.labels": ("BAUM8", "FER7", "FERPLUS8", "LabelSet", "RAVDESS8"),
    "mien.live": ("iter_live",),
    "mien.options": ("AudioOptions", "ModelOptions", "VideoOptions"),
    "mien.output.draw": ("draw",),
    "mien.output.video": ("draw_video",),
    "mien.output.timeline": ("plot_timeline",),
    "mien.output.write": ("write", "write_wav"),
    "mien.results": (
        "Emotion",
        "EmotionSegment",
        "Face",
        "FaceTrack",
        "FailedItem",
        "FusedResult",
        "FusedSegment",
        "ImageResult",
        "Moment",
        "PersonSummary",
        "SpeechResult",
        "SpeechSegment",
        "SpeechSummary",
        "TrackedFace",
        "VideoFrame",
        "VideoResult",
        "VideoSummary",
    ),
    "mien.speech.analyzer": ("SpeechAnalyzer", "SpeechStream"),
    "mien.video.analyzer": ("FaceStream", "VideoAnalyzer"),
}
"""Where the public names are: they are imported when they are first used, so that `import mien` stays light."""

__all__ = sorted(name for names in _HOMES.values() for name in names)


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(importlib.import_module(module), name)
            return value
    raise AttributeError(f"module 'mien' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
