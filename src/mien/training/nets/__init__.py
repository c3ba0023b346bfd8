"""Network architectures, one file each, found by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mien.errors import InputError
from mien.training.nets.base import FaceNet
from mien.training.nets.cnn import CNN
from mien.training.nets.dexpression import DeXpression
from mien.training.nets.face_resnet import FaceResNet
from mien.training.nets.mini_xception import MiniXception
from mien.training.nets.mlp import MLP
from mien.training.nets.vgg16 import VGG16

__all__ = ["CNN", "MLP", "NETS", "VGG16", "DeXpression", "FaceNet", "FaceResNet", "MiniXception", "build"]

NETS: dict[str, Callable[..., FaceNet]] = {
    "mlp": MLP,
    "cnn": CNN,
    "vgg16": VGG16,
    "dexpression": DeXpression,
    "mini_xception": MiniXception,
    "face_resnet": FaceResNet,
}


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
    if name not in NETS:
        raise InputError(f"unknown net {name!r}: expected one of {', '.join(NETS)}")
    try:
        return NETS[name](heads=heads, **options)
    except TypeError as error:
        raise InputError(f"net {name!r}: {error}") from None
