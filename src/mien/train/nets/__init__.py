"""Network architectures, one file each, found by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from mien.errors import InputError
from mien.train.nets.base import EmotionNet, FaceNet
from mien.train.nets.c3d import C3D
from mien.train.nets.cnn import CNN
from mien.train.nets.cnn_lstm import CNNLSTM
from mien.train.nets.dexpression import DeXpression
from mien.train.nets.face_resnet import FaceResNet
from mien.train.nets.mel_cnn import MelCNN
from mien.train.nets.mini_xception import MiniXception
from mien.train.nets.mlp import MLP
from mien.train.nets.speech import SpeechNet
from mien.train.nets.speech_resnet import SpeechResNet
from mien.train.nets.temporal import Temporal
from mien.train.nets.vgg16 import VGG16
from mien.train.nets.video import VideoNet

__all__ = [
    "C3D",
    "CNN",
    "CNNLSTM",
    "MLP",
    "NETS",
    "SPEECH_NETS",
    "VGG16",
    "VIDEO_NETS",
    "DeXpression",
    "EmotionNet",
    "FaceNet",
    "FaceResNet",
    "MelCNN",
    "MiniXception",
    "SpeechNet",
    "SpeechResNet",
    "Temporal",
    "VideoNet",
    "build",
    "build_any",
    "build_speech",
    "build_video",
]

NETS: dict[str, Callable[..., FaceNet]] = {
    "mlp": MLP,
    "cnn": CNN,
    "vgg16": VGG16,
    "dexpression": DeXpression,
    "mini_xception": MiniXception,
    "face_resnet": FaceResNet,
}
"""Nets for faces."""

SPEECH_NETS: dict[str, Callable[..., SpeechNet]] = {"mel_cnn": MelCNN, "speech_resnet": SpeechResNet}
"""Nets for speech."""

VIDEO_NETS: dict[str, type[VideoNet]] = {"cnn_lstm": CNNLSTM, "c3d": C3D, "temporal": Temporal}
"""Nets for clips of faces."""

_ALL: dict[str, Callable[..., EmotionNet]] = {**NETS, **SPEECH_NETS, **VIDEO_NETS}

T = TypeVar("T")


def build(name: str, heads: dict[str, int], **options: Any) -> FaceNet:
    """Build a net by name.

    Parameters
    ----------
    name : str
        One of `NETS`.
    heads : dict of str to int
        Number of classes of each output head.
    **options : object
        What the architecture takes.

    Raises
    ------
    InputError
        If no net has that name, or it does not take an option.
    """
    return _built(NETS, name, heads, options)


def build_speech(name: str, heads: dict[str, int], **options: Any) -> SpeechNet:
    """Build a speech net by name: as `build`, but one of `SPEECH_NETS`."""
    return _built(SPEECH_NETS, name, heads, options)


def build_video(name: str, heads: dict[str, int], **options: Any) -> VideoNet:
    """Build a net for clips by name: as `build`, but one of `VIDEO_NETS`."""
    return _built(VIDEO_NETS, name, heads, options)


def build_any(name: str, heads: dict[str, int], **options: Any) -> EmotionNet:
    """Build a net of any kind by name: as `build`."""
    return _built(_ALL, name, heads, options)


def _built(nets: Mapping[str, Callable[..., T]], name: str, heads: dict[str, int], options: dict[str, Any]) -> T:
    if name not in nets:
        raise InputError(f"unknown net {name!r}: expected one of {', '.join(nets)}")
    try:
        return nets[name](heads=heads, **options)
    except TypeError as error:
        raise InputError(f"net {name!r}: {error}") from None
