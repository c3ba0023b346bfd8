"""Network architectures, one file each, found by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from mien.errors import InputError
from mien.training.nets.base import EmotionNet, FaceNet
from mien.training.nets.c3d import C3D
from mien.training.nets.cnn import CNN
from mien.training.nets.cnn_lstm import CNNLSTM
from mien.training.nets.dexpression import DeXpression
from mien.training.nets.face_resnet import FaceResNet
from mien.training.nets.film import FilmNet
from mien.training.nets.mel_cnn import MelCNN
from mien.training.nets.mini_xception import MiniXception
from mien.training.nets.mlp import MLP
from mien.training.nets.speech import SpeechNet
from mien.training.nets.speech_resnet import SpeechResNet
from mien.training.nets.temporal import Temporal
from mien.training.nets.vgg16 import VGG16

__all__ = [
    "C3D",
    "CNN",
    "CNNLSTM",
    "FILM_NETS",
    "MLP",
    "NETS",
    "SPEECH_NETS",
    "VGG16",
    "DeXpression",
    "EmotionNet",
    "FaceNet",
    "FaceResNet",
    "FilmNet",
    "MelCNN",
    "MiniXception",
    "SpeechNet",
    "SpeechResNet",
    "Temporal",
    "build",
    "build_any",
    "build_film",
    "build_speech",
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

FILM_NETS: dict[str, type[FilmNet]] = {"cnn_lstm": CNNLSTM, "c3d": C3D, "temporal": Temporal}
"""Nets for clips of faces."""

_ALL: dict[str, Callable[..., EmotionNet]] = {**NETS, **SPEECH_NETS, **FILM_NETS}

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


def build_film(name: str, heads: dict[str, int], **options: Any) -> FilmNet:
    """Build a net for clips by name: as `build`, but one of `FILM_NETS`."""
    return _built(FILM_NETS, name, heads, options)


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
