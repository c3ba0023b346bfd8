"""Network architectures, one file each, found by name."""

from __future__ import annotations

from typing import Any

from mien._registry import Registry
from mien.errors import InputError
from mien.train.nets.base import EmotionNetwork, FaceNetwork, SpeechNetwork, VideoNetwork

__all__ = ["NETWORKS", "EmotionNetwork", "FaceNetwork", "SpeechNetwork", "VideoNetwork", "build_network"]

NETWORKS: Registry[type[EmotionNetwork]] = Registry(
    "network",
    {
        "mlp": "mien.train.nets.mlp:MLP",
        "cnn": "mien.train.nets.cnn:CNN",
        "vgg16": "mien.train.nets.vgg16:VGG16",
        "dexpression": "mien.train.nets.dexpression:DeXpression",
        "mini_xception": "mien.train.nets.mini_xception:MiniXception",
        "face_resnet": "mien.train.nets.face_resnet:FaceResNet",
        "dlib_resnet": "mien.train.nets.dlib_resnet:DlibResNet",
        "mel_cnn": "mien.train.nets.mel_cnn:MelCNN",
        "speech_resnet": "mien.train.nets.speech_resnet:SpeechResNet",
        "campplus": "mien.train.nets.campplus:CAMPlusPlus",
        "cnn_lstm": "mien.train.nets.cnn_lstm:CNNLSTM",
        "c3d": "mien.train.nets.c3d:C3D",
        "temporal": "mien.train.nets.temporal:Temporal",
    },
    group="mien.networks",
)
"""Architectures by name; each is a class that takes ``heads`` and options of its own."""


def build_network(name: str, heads: dict[str, int], **options: Any) -> EmotionNetwork:
    """Build a network by name.

    Parameters
    ----------
    name : str
        One of `NETWORKS`.
    heads : dict of str to int
        Number of classes of each output head.
    **options : object
        What the architecture takes.

    Raises
    ------
    InputError
        If no network has that name, or it does not take an option.
    """
    try:
        return NETWORKS[name](heads=heads, **options)
    except TypeError as error:
        raise InputError(f"network {name!r}: {error}") from None
