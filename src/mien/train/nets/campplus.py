"""CAM++, a net for speaker verification, cut after one of its blocks: what it knows of voices is a start for emotions.

Residual convolutions over bands and frames, then a densely connected time-delay network whose layers are masked by
their context (Wang, Zheng, Chen, Cheng and Chen 2023, arXiv:2303.00332).  Names and shapes are those of the
public weights ``speech_campplus_sv_zh_en_16k-common_advanced`` (Apache License 2.0), which `translate` takes.

The pooling is a mean and a deviation over time, as the authors'.  Padding stays zero throughout, so that a recording
has the same embedding in any batch.  The context of a mask is that of the whole recording and of each two seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.errors import InputError
from mien.speech.features import Settings
from mien.train.nets.base import SpeechNetwork, mean_and_deviation

__all__ = ["CAMPlusPlus", "translate"]

_LAYERS, _DILATIONS = (12, 24, 16), (1, 2, 2)
"""Layers of each block and the distance of their taps (section 3 of the paper; the authors' ``DTDNN.py``)."""

_GROWTH, _INNER, _CONTEXT = 32, 128, 100
"""Channels that a layer adds, channels within it, and frames of a segment of its context."""

_DB_TO_LOG = 0.2302585092994046
"""Decibels to natural logarithms of power, which the weights were trained on: ln(10) / 10."""

_PADDING = 0.0  # the mean of a band, once it is taken away


class CAMPlusPlus(SpeechNetwork):
    """The first blocks of CAM++, mean and deviation over time, and a head.

    Parameters
    ----------
    heads : dict of str to int
        Number of classes of each head.
    blocks : int
        How many of the three blocks are used.
    views : int
        Changed copies of each recording whose embeddings are computed in advance, for training the heads alone; 0
        trains on spectrograms.
    dropout : float
        Dropout before the heads.
    frames : int
        Frames that training cuts or pads recordings to.

    Raises
    ------
    InputError
        If there are not so many blocks.
    """

    memory_format = torch.contiguous_format

    rounding = 100
    """Its bands are logarithms down to 100 dB under the peak, where sums in another order differ by a percent."""

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, *, heads: dict[str, int], blocks: int = 2, views: int = 0, dropout: float = 0.5, frames: int = 320
    ) -> None:
        if not 1 <= blocks <= len(_LAYERS):
            raise InputError(f"campplus has 1 to {len(_LAYERS)} blocks, but got {blocks}")
        widths = [128]
        for layers in _LAYERS[:blocks]:
            widths.append((widths[-1] + layers * _GROWTH) // 2)
        super().__init__(
            heads=heads,
            features=4 * widths[-1],
            dropout=dropout,
            settings=Settings(rate_hz=16000, n_fft=512, hop=160, mels=80, low_hz=20.0, scale="htk"),
            frames=frames,
            min_s=0.5,
            trim=True,
        )
        self.views = views
        self.register_buffer("mean", torch.zeros(4 * widths[-1]))
        self.register_buffer("deviation", torch.ones(4 * widths[-1]))
        self.front = _Front()
        self.tdnn = _Unit(320, 128, 5, stride=2)
        self.blocks = nn.ModuleList(
            nn.Sequential(*(_Dense(width + n * _GROWTH, dilation) for n in range(layers)))
            for width, layers, dilation in zip(widths[:-1], _LAYERS, _DILATIONS, strict=False)
        )
        self.transits = nn.ModuleList(_Transit(2 * width) for width in widths[1:-1])
        self.norm = nn.BatchNorm1d(2 * widths[-1])

    def level(self, db: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return natural logarithms without the mean of each band: neither level nor the microphone's response."""
        log = db.clamp(min=-100.0) * _DB_TO_LOG
        if mask is None:
            return log - log.mean(dim=3, keepdim=True)
        inside = mask[:, None, None, :]
        mean = (log * inside).sum(dim=3, keepdim=True) / inside.sum(dim=3, keepdim=True).clamp(min=1)
        return torch.where(inside > 0, log - mean, _PADDING)

    def embed(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return mean and deviation over time of the last block, float (N, D)."""
        inside = None if mask is None else mask.unsqueeze(1)
        values = self.tdnn(self.front(x, None if inside is None else inside.unsqueeze(1)))
        if inside is not None:
            inside = functional.max_pool1d(inside, 2, 2, ceil_mode=True)[..., : values.shape[2]]
        segments = _segments(values.shape[2], inside, like=values)
        for number, block in enumerate(self.blocks):
            if number:
                values = self.transits[number - 1](values)
            for layer in block.children():
                values = torch.cat([values, layer(values, inside, segments)], dim=1)
        return _mean_and_deviation(torch.relu(self.norm(values)).float(), inside)

    def set_statistics(self, embeddings: Tensor) -> None:
        """Take mean and deviation of each entry of the embedding."""
        mean, deviation = mean_and_deviation(embeddings)
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)

    def scale(self, embedding: Tensor) -> Tensor:
        """Return entries of mean 0 and deviation 1 over the training recordings."""
        return (embedding - self.mean) / self.deviation


class _Front(nn.Module):
    """Residual convolutions that keep the frames and divide the bands by eight (the authors' ``FCM``)."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.layer1 = nn.ModuleList((_Residual(channels, 2), _Residual(channels, 1)))
        self.layer2 = nn.ModuleList((_Residual(channels, 2), _Residual(channels, 1)))
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=(2, 1), padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor, inside: Tensor | None) -> Tensor:
        """Return (N, 320, T) of (N, 1, 80, T); padding stays zero throughout, so that it makes no difference."""
        x = _mask_padding(torch.relu(self.bn1(self.conv1(_mask_padding(x, inside)))), inside)
        for layer in (*self.layer1, *self.layer2):
            x = layer(x, inside)
        return _mask_padding(torch.relu(self.bn2(self.conv2(x))), inside).flatten(1, 2)


class _Residual(nn.Module):
    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, stride=(stride, 1), padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.append(nn.Conv2d(channels, channels, 1, stride=(stride, 1), bias=False))
            self.shortcut.append(nn.BatchNorm2d(channels))

    def forward(self, x: Tensor, inside: Tensor | None) -> Tensor:
        inner = _mask_padding(torch.relu(self.bn1(self.conv1(x))), inside)
        return _mask_padding(torch.relu(self.bn2(self.conv2(inner)) + self.shortcut(x)), inside)


class _Unit(nn.Module):
    """Convolution over time, norm, rectifier."""

    def __init__(self, before: int, after: int, taps: int, *, stride: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(before, after, taps, stride=stride, padding=taps // 2, bias=False)
        self.norm = nn.BatchNorm1d(after)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.linear(x)))


class _Transit(nn.Module):
    """Norm, rectifier, and half the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)
        self.linear = nn.Conv1d(channels, channels // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        reduced: Tensor = self.linear(torch.relu(self.norm(x)))
        return reduced


class _Dense(nn.Module):
    """A layer that adds channels, masked by their context (the authors' ``CAMDenseTDNNLayer``)."""

    def __init__(self, before: int, dilation: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm1d(before)
        self.linear1 = nn.Conv1d(before, _INNER, 1, bias=False)
        self.norm2 = nn.BatchNorm1d(_INNER)
        self.local = nn.Conv1d(_INNER, _GROWTH, 3, padding=dilation, dilation=dilation, bias=False)
        self.context1 = nn.Conv1d(_INNER, _INNER // 2, 1)
        self.context2 = nn.Conv1d(_INNER // 2, _GROWTH, 1)

    def forward(self, x: Tensor, inside: Tensor | None, segments: Tensor) -> Tensor:
        """Return (N, 32, T) of (N, C, T); which frames are there, float (N, 1, T); and `_segments`."""
        inner = _mask_padding(torch.relu(self.norm2(self.linear1(torch.relu(self.norm1(x))))), inside)
        # All frames of a segment have one context, so it is computed once for each segment.
        means = inner @ segments / segments.sum(dim=1, keepdim=True).clamp(min=1)
        context = _mean(inner, inside).unsqueeze(2) + means
        mask = torch.sigmoid(self.context2(torch.relu(self.context1(context))))
        masked: Tensor = self.local(inner) * (mask @ segments.transpose(1, 2))
        return masked


def _mask_padding(values: Tensor, inside: Tensor | None) -> Tensor:
    """Return values with zeros in place of padding."""
    return values if inside is None else values * inside


def _mean(values: Tensor, inside: Tensor | None) -> Tensor:
    """Return the mean over the frames that are there, (N, C) of (N, C, T), whose padding is zero."""
    return values.mean(dim=2) if inside is None else values.sum(dim=2) / inside.sum(dim=2)


def _segments(frames: int, inside: Tensor | None, *, like: Tensor) -> Tensor:
    """Return which frames are of which segment, as the authors' ``seg_pooling`` has them, (N or 1, T, segments)."""
    number = torch.arange(frames, device=like.device) // _CONTEXT
    every = torch.arange((frames + _CONTEXT - 1) // _CONTEXT, device=like.device)
    member = (number[:, None] == every[None]).to(like.dtype).unsqueeze(0)
    return member if inside is None else member * inside.transpose(1, 2).to(like.dtype)


def _mean_and_deviation(values: Tensor, inside: Tensor | None) -> Tensor:
    """Return mean and deviation over the frames that are there, (N, 2 C) of (N, C, T)."""
    mean = _mean(_mask_padding(values, inside), inside)
    variance = _mean(_mask_padding((values - mean.unsqueeze(2)) ** 2, inside), inside)
    return torch.cat([mean, variance.clamp(min=1e-5).sqrt()], dim=1)


_NAMES = (
    ("head.", "front."),
    ("xvector.", ""),
    ("tdnn.nonlinear.batchnorm", "tdnn.norm"),
    (".nonlinear1.batchnorm", ".norm1"),
    (".nonlinear2.batchnorm", ".norm2"),
    (".nonlinear.batchnorm", ".norm"),
    (".cam_layer.linear_local", ".local"),
    (".cam_layer.linear1", ".context1"),
    (".cam_layer.linear2", ".context2"),
)
"""Parts of the names of the public weights, and what they are here."""

_NUMBERED = re.compile(r"block(\d)\.tdnnd(\d+)|transit(\d)")


def translate(state: Mapping[str, Tensor], net: CAMPlusPlus) -> dict[str, Tensor] | None:
    """Return the public weights under the names of the network; None of any other state dict.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
        The state dict of the public weights.  What lies behind the network's last block is left out.
    net : CAMPlusPlus
        The network.
    """
    if "xvector.tdnn.linear.weight" not in state:
        return None
    own = net.state_dict()
    result = {}
    for key, value in state.items():
        name = key
        for theirs, ours in _NAMES:
            name = name.replace(theirs, ours)
        match = _NUMBERED.search(name)
        if match is not None:
            block, layer, transit = match.groups()
            place = f"blocks.{int(block) - 1}.{int(layer) - 1}" if block else f"transits.{int(transit) - 1}"
            name = name.replace(match[0], place)
        if name.startswith(f"transits.{len(net.transits)}.norm"):  # that behind the last block
            name = name.replace(f"transits.{len(net.transits)}.norm", "norm")
        if name in own:
            result[name] = value
    return result
