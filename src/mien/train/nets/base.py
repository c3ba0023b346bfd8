"""What the networks share: heads, parts that can be frozen, costs, and the inputs of each kind of network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from mien.speech.features import AMIN, Settings

__all__ = [
    "SILENCE",
    "EmotionNetwork",
    "FaceNetwork",
    "Layer",
    "ResidualBlock",
    "SpeechNetwork",
    "VideoNetwork",
    "at_rms",
    "count_multiply_adds",
    "count_parameters",
    "frames_first",
    "masked_mean",
    "mean_and_deviation",
    "repeat_frames",
    "standardize",
    "summary",
    "under_peak",
]

_FLOOR = 4.0  # gray levels; keeps a flat image from being blown up to pure noise

_RANGE_DB = 80.0
"""What lies further under its reference counts as silence (as librosa's ``top_db``)."""

_SCALE_DB = 20.0
"""One unit of a network's input."""

SILENCE = -_RANGE_DB / 2 / _SCALE_DB
"""Silence and padding in a network's input."""

_PADDING_DB = -1e4
"""Level of padding: under any floor."""

_AVX2_FLOATS = 8  # in a register

_MIN_DEVIATION = 0.05
"""An entry that is the same in all clips must not be blown up."""


class EmotionNetwork(nn.Module, ABC):
    """A network with one linear head for each label set.

    Parameters
    ----------
    heads : dict of str to int
        Number of classes of each head.
    features : int
        Length of the embedding.
    dropout : float
        Probability of dropping an entry of the embedding while training.
    """

    kind: str
    """``"image"``, ``"audio"`` or ``"video"``."""

    metric = "accuracy"
    """The metric whose mean over all heads chooses the epoch."""

    memory_format = torch.channels_last
    """The layout of the input with which it is fastest."""

    rounding = 1
    """How much more than the sums of a small network the rounding of its numbers may show in the logits of a graph."""

    has_autocast = True
    """Whether it gains from bfloat16, where a run asks for it."""

    def choose_layout(self) -> torch.memory_format:
        """Return `memory_format`, or the usual layout where that is not safe.

        On processors with AVX2 alone, the gradients of a 1 x 1 convolution with a stride and fewer than eight channels
        write beyond their memory in channels_last (oneDNN 3.12, in torch 2.13).
        """
        is_narrow = any(
            isinstance(module, nn.Conv2d)
            and module.kernel_size == (1, 1)
            and max(module.stride) > 1
            and module.in_channels < _AVX2_FLOATS
            for module in self.modules()
        )
        return torch.contiguous_format if is_narrow else self.memory_format

    def __init__(self, *, heads: dict[str, int], features: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict({name: nn.Linear(features, classes) for name, classes in heads.items()})

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; a batch norm whose parameters are frozen stays in evaluation.

        In training it would normalize by the batch and update statistics that its frozen parameters were not made for.
        """
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and not any(
                p.requires_grad for p in module.parameters()
            ):
                module.eval()
        return self

    @abstractmethod
    def example(self) -> tuple[Tensor, ...]:
        """Return the inputs of one face, recording or clip, of the length that it has in training."""

    def training_logits(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Return what the loss is computed from by head, float (N, classes) or (N, classes, members)."""
        logits: dict[str, Tensor] = self(*inputs)
        return logits

    def layer_names(self) -> dict[str, tuple[str, ...]]:
        """Return the names that a paper gives to layers, in their order, each with its parts; here none."""
        return {}


class FaceNetwork(EmotionNetwork):
    """A network from face crops to one vector of logits a head.

    Parameters
    ----------
    heads, features, dropout
        See `EmotionNetwork`.
    size : int
        Side of the square crops in pixels.
    """

    kind = "image"

    def __init__(self, *, heads: dict[str, int], features: int, dropout: float, size: int) -> None:
        super().__init__(heads=heads, features=features, dropout=dropout)
        self.size = size

    def example(self) -> tuple[Tensor, ...]:
        """Return a black crop, float32 (1, 1, S, S)."""
        return (torch.zeros(1, 1, self.size, self.size),)

    def cells(self) -> tuple[float, float] | None:
        """Return where the cells of the last map look: the middle of the first and the distance to the next, in pixels.

        Pixel i covers i to i + 1.  With strided convolutions padded on both sides, a cell looks at the upper left of
        its share of the crop, not at the middle.  None where nobody needs it: the heads are not linear in the map.
        """
        return None

    def prepare(self, gray: Tensor) -> Tensor:
        """Return what `maps` takes, float (N, 1 or 3, S, S), of gray crops in 0..255; here `standardize`."""
        return standardize(gray)

    @abstractmethod
    def maps(self, x: Tensor) -> Tensor:
        """Return the last feature map, float (N, C, h, w), of prepared crops."""

    def embed(self, features: Tensor) -> Tensor:
        """Return the embedding, float (N, D), of the last feature map; here its average over space."""
        return features.mean(dim=(2, 3))

    def classify(self, features: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return the logits of each head and the embedding of the last feature map."""
        embedding = self.embed(features)
        dropped = self.dropout(embedding)
        return {name: head(dropped) for name, head in self.heads.items()}, embedding

    def forward(self, gray: Tensor) -> dict[str, Tensor]:
        """Return logits by head, float32 (N, classes), of gray crops, float (N, 1, S, S) in 0..255."""
        return self.classify(self.maps(self.prepare(gray)))[0]


class SpeechNetwork(EmotionNetwork):
    """A network from spectrograms to one vector of logits a head.

    Parameters
    ----------
    heads, features, dropout
        See `EmotionNetwork`.
    settings : Settings
        The front end.
    frames : int
        Frames that training cuts or pads recordings to.
    min_s : float
        Shortest recording that the network takes; shorter ones are padded with silence on both sides.
    trim : bool
        Whether the silence before and after the speech is cut away (see `mien.speech.activity.speech_bounds`).
    members : int
        Networks in one, each with its share of the embedding.
    """

    kind = "audio"
    metric = "uar"

    views = 0
    """Changed copies of each recording whose embeddings are computed in advance, where the body stays as it starts; 0
    trains on spectrograms."""

    def __init__(
        self,
        *,
        heads: dict[str, int],
        features: int,
        dropout: float,
        settings: Settings,
        frames: int,
        min_s: float,
        trim: bool,
        members: int = 1,
    ) -> None:
        super().__init__(heads=heads, features=features, dropout=dropout)
        self.settings, self.frames, self.min_s, self.trim = settings, frames, min_s, trim
        self.members = members

    def example(self) -> tuple[Tensor, ...]:
        """Return silence of the length that training gives it, and its mask."""
        return torch.zeros(1, 1, self.settings.mels, self.frames), torch.ones(1, self.frames)

    def level(self, db: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the network's input, float32 (N, 1, M, T), of spectrograms in dB; here `at_rms`."""
        return at_rms(db, mask)

    def set_statistics(self, embeddings: Tensor) -> None:
        """Take from the embeddings of the training recordings, float32 (n, D), what stays fixed; here nothing."""

    @abstractmethod
    def embed(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the embedding, float (N, D), of leveled spectrograms (N, 1, M, T), maybe with their mask (N, T)."""

    def scale(self, embedding: Tensor) -> Tensor:
        """Return what the heads take of an embedding, float (N, D); here the embedding itself."""
        return embedding

    def forward(self, x: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """Return logits by head, float (N, classes).

        Parameters
        ----------
        x : torch.Tensor
            float32 (N, 1, M, T): spectrograms as `level` returns them; or embeddings, (N, D).
        mask : torch.Tensor, optional
            float32 (N, T): 1 for frames of the recording, 0 for padding.
        """
        embedding = self.dropout(self.scale(x if x.ndim == 2 else self.embed(x, mask)))
        return {name: head(embedding) for name, head in self.heads.items()}

    def training_logits(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Return the logits of each member, float (N, classes, members); `forward` returns their mean."""
        if self.members == 1:
            return super().training_logits(*inputs)
        embedding = self.dropout(self.embed(*inputs))
        parts = embedding.reshape(len(embedding), self.members, -1)
        result = {}
        for name, head in self.heads.items():
            assert isinstance(head, nn.Linear)
            weights = head.weight.reshape(len(head.weight), self.members, -1)
            own = torch.einsum("nmd,cmd->ncm", parts.float(), weights.float())
            result[name] = self.members * own + head.bias[None, :, None]
        return result


class VideoNetwork(EmotionNetwork):
    """A network from the faces of a clip to one vector of logits a head.

    Clips have up to ``frames`` frames; a mask says which are there, so that short clips are not filled with invented
    faces.  What is computed on each face alone comes from a trained face model (`mien.video.clips`), once.

    Parameters
    ----------
    heads, features, dropout
        See `EmotionNetwork`; ``features`` is the length of the embedding of a clip.
    frames : int
        Frames of a clip at most.
    size : int
        Side of the images in pixels.
    answers, embedding : int
        What the face model gives for a face: entries of all its distributions together, and of its embedding.
    """

    kind = "video"
    memory_format = torch.contiguous_format

    uses_images = False
    """Whether it takes images."""

    uses_features = False
    """Whether it takes the outputs of a face model."""

    def __init__(
        self,
        *,
        heads: dict[str, int],
        features: int,
        dropout: float,
        frames: int = 16,
        size: int = 48,
        answers: int = 15,
        embedding: int = 256,
    ) -> None:
        super().__init__(heads=heads, features=features, dropout=dropout)
        self.frames, self.size, self.answers, self.embedding = frames, size, answers, embedding
        # Networks without convolutions gain nothing from bfloat16, and lose digits.
        self.has_autocast = self.uses_images

    def example(self) -> tuple[Tensor, ...]:
        """Return a black clip of full length, as `forward` takes it."""
        side = self.size if self.uses_images else 0
        width = self.answers + self.embedding if self.uses_features else 0
        return (
            torch.zeros(1, 1, self.frames, side, side),
            torch.zeros(1, self.frames, width),
            torch.ones(1, self.frames),
        )

    def set_statistics(self, features: Tensor, mask: Tensor) -> None:
        """Take from the training clips what stays fixed, such as means to subtract; here nothing.

        Parameters
        ----------
        features, mask
            See `forward`.
        """

    @abstractmethod
    def embed(self, images: Tensor, features: Tensor, mask: Tensor) -> Tensor:
        """Return the embedding of clips, float (N, D)."""

    def forward(self, images: Tensor, features: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Return logits by head, float32 (N, classes).

        Parameters
        ----------
        images : torch.Tensor
            float (N, 1, T, S, S) in 0..255; (N, 1, T, 0, 0) where the network does not use them.
        features : torch.Tensor
            float (N, T, answers + embedding): distributions, then the embedding; (N, T, 0) where it does not use them.
        mask : torch.Tensor
            float (N, T): 1 for frames that are there.
        """
        embedding = self.dropout(self.embed(images, features, mask))
        return {name: head(embedding) for name, head in self.heads.items()}


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut, in pre-activation order (He et al. 2016, arXiv:1603.05027).

    Parameters
    ----------
    before, after : int
        Channels of input and output.
    stride : int or (int, int)
        Of the first convolution, and of the 1 x 1 convolution in the shortcut where shapes differ.
    inner : int, optional
        Channels between the two convolutions; by default those of the output.
    """

    def __init__(self, before: int, after: int, stride: int | tuple[int, int], inner: int | None = None) -> None:
        super().__init__()
        between = after if inner is None else inner
        self.norm1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, between, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(between)
        self.conv2 = nn.Conv2d(between, after, 3, padding=1, bias=False)
        same = before == after and stride in (1, (1, 1))
        self.skip = None if same else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return float (N, after, h, w) of float (N, before, H, W)."""
        active = torch.relu(self.norm1(x))
        skip = x if self.skip is None else self.skip(active)
        inner: Tensor = self.conv2(torch.relu(self.norm2(self.conv1(active))))
        return inner + skip


# --- inputs -----------------------------------------------------------------------------------------------------------


def standardize(gray: Tensor) -> Tensor:
    """Scale each image to zero mean and unit standard deviation, float (N, 1, S, S)."""
    mean = gray.mean(dim=(1, 2, 3), keepdim=True)
    centered = gray - mean
    deviation = (centered * centered).mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return centered / (deviation + _FLOOR)


def at_rms(db: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return spectrograms without their level: how loud a recording is says more of the microphone than of the voice.

    Parameters
    ----------
    db : torch.Tensor
        float32 (N, 1, M, T).
    mask : torch.Tensor, optional
        float32 (N, T): 1 for frames of the recording, 0 for padding; without one there is no padding.

    Returns
    -------
    torch.Tensor
        float32 (N, 1, M, T): 2 stands 10 dB over the mean power of bands and frames, each unit is 20 dB, and -2 is
        silence, as is padding.
    """
    power = torch.pow(10.0, db / 10)
    if mask is None:
        return _scale_db(db - _reference_db(power.mean(dim=(2, 3), keepdim=True)))
    inside = mask[:, None, None, :]
    total = (power * inside).sum(dim=(2, 3), keepdim=True)
    mean = total / (inside.sum(dim=3, keepdim=True) * db.shape[2])
    return _scale_db(torch.where(inside > 0, db - _reference_db(mean), _PADDING_DB))


def _reference_db(mean: Tensor) -> Tensor:
    return 10 * mean.clamp(min=AMIN).log10() + 10


def under_peak(db: Tensor, mask: Tensor | None = None) -> Tensor:
    """As `at_rms`, but the loudest band of the recording stands at 2."""
    if mask is None:
        return _scale_db(db - db.amax(dim=(1, 2, 3), keepdim=True))
    inside = mask[:, None, None, :] > 0
    peak = torch.where(inside, db, _PADDING_DB).amax(dim=(1, 2, 3), keepdim=True)
    return _scale_db(torch.where(inside, db - peak, _PADDING_DB))


def _scale_db(db: Tensor) -> Tensor:
    return (db.clamp(min=-_RANGE_DB) + _RANGE_DB / 2) / _SCALE_DB


def frames_first(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Move the frames that are there to the front, in their order.

    Parameters
    ----------
    values : torch.Tensor
        (N, T, ...).
    mask : torch.Tensor
        float (N, T): 1 for frames that are there, 0 for others.

    Returns
    -------
    values : torch.Tensor
        Of the same shape.
    lengths : torch.Tensor
        int64 (N,): how many are there, at least 1.
    """
    places = torch.arange(mask.shape[1], device=mask.device)
    # Keys that differ, because a stable sort has no counterpart in ONNX.
    order = torch.argsort(places + mask.shape[1] * (mask <= 0), dim=1)
    return _select_frames(values, order), mask.sum(dim=1).long().clamp(min=1)


def _select_frames(values: Tensor, order: Tensor) -> Tensor:
    return values[torch.arange(len(values), device=values.device)[:, None], order]


def repeat_frames(values: Tensor, mask: Tensor) -> Tensor:
    """Fill all T places with the frames that are there, evenly repeated: 0, 1, 2 become 0, 0, 1, 1, 2, 2.

    Parameters
    ----------
    values, mask
        See `frames_first`.
    """
    front, lengths = frames_first(values, mask)
    places = torch.arange(values.shape[1], device=values.device)
    order = places[None] * lengths[:, None] // values.shape[1]
    return _select_frames(front, order)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over the frames that are there, (N, D), of values (N, T, D)."""
    inside = mask.unsqueeze(2)
    return (values * inside).sum(dim=1) / inside.sum(dim=1).clamp(min=1)


def mean_and_deviation(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each column, (D,) each, of values (n, D); no deviation is less than 0.05."""
    return values.mean(dim=0), values.std(dim=0, correction=0).clamp(min=_MIN_DEVIATION)


# --- costs ------------------------------------------------------------------------------------------------------------


def count_parameters(net: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


def count_multiply_adds(net: EmotionNetwork) -> int:
    """Return the multiply-adds of convolutions and dense layers for `EmotionNetwork.example`."""
    return sum(layer.multiply_adds for layer in summary(net))


@dataclass(frozen=True, slots=True)
class Layer:
    """A row of `summary`.

    Parameters
    ----------
    name, kind : str
        As in the network, and the class of the layer.
    shape : tuple of int
        Shape of its output for one example.
    parameters, multiply_adds : int
        What it costs; norms are folded into convolutions when a graph is loaded, and count no multiply-adds.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


def summary(net: EmotionNetwork) -> tuple[Layer, ...]:
    """Return the layers that have parameters, in the order of computation, with what they cost for one example."""
    rows: list[Layer] = []
    names = {module: name for name, module in net.named_modules()}

    def count(module: nn.Module, _inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
        own = sum(p.numel() for p in module.parameters())
        first = output if isinstance(output, Tensor) else output[0]
        cost = 0
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
            cost = first[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.GRU | nn.LSTM):
            cost = first.shape[1] * sum(p.numel() for p in module.parameters() if p.ndim > 1)
        rows.append(Layer(names[module], type(module).__name__, tuple(first.shape[1:]), own, cost))

    layers = [m for m in net.modules() if next(m.parameters(recurse=False), None) is not None]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    training = net.training
    try:
        with torch.no_grad():
            net.eval()(*net.example())
    finally:
        net.train(training)
        for hook in hooks:
            hook.remove()
    return tuple(rows)
