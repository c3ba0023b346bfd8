"""The shipped family for speech: small residual networks over mel bands with attentive statistics, several in one.

Residual blocks in pre-activation order (He et al. 2016, arXiv:1603.05027) over bands and frames; where wanted, a
bidirectional gated recurrent layer over time (Cho et al. 2014, arXiv:1406.1078); pooling by attention over mean and
deviation (Okabe, Koshinaka and Shinoda 2018, arXiv:1803.10963).  Recordings may have any length: padding is masked
where it is pooled.

Members are networks of their own that learn side by side from the same batches, each by its own logits; the whole
gives the mean of their logits.  Few speakers make each of them err in its own way, which the mean takes away.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mien.errors import InputError
from mien.speech.features import Settings
from mien.train.nets.base import SILENCE, ResidualBlock, SpeechNetwork

__all__ = ["SpeechResNet"]

_BEYOND = 64
"""Frames of silence behind a recording: more than convolutions see beyond its end."""


class SpeechResNet(SpeechNetwork):
    """Members of stem, residual blocks, average over bands, maybe a recurrent layer, and attentive statistics.

    Parameters
    ----------
    heads : dict of str to int
        Number of classes of each head.
    stem : int
        Channels of the first 5 x 5 convolution, of stride 2.
    widths : sequence of int
        Channels of each residual block.
    strides : sequence of (int, int)
        Strides of each block over bands and frames.
    members : int
        How many networks, all of the same shape.
    recurrent : int
        Size of the recurrent layer in each direction; 0 leaves it out.
    attention : int
        Hidden size of the attention.
    dropout : float
        Dropout before the heads.
    mels, hop, n_fft : int
        Bands, and samples from frame to frame and of the transform, at 16 kHz.
    low_hz : float
        Lowest frequency; under it is more room than voice.
    frames : int
        Frames that training cuts or pads recordings to.
    """

    def __init__(
        self,
        *,
        heads: dict[str, int],
        stem: int = 24,
        widths: Sequence[int] = (32, 64, 128, 160),
        strides: Sequence[Sequence[int]] = ((2, 2), (2, 2), (2, 2), (1, 1)),
        members: int = 1,
        recurrent: int = 0,
        attention: int = 64,
        dropout: float = 0.4,
        mels: int = 64,
        hop: int = 200,
        n_fft: int = 512,
        low_hz: float = 50.0,
        frames: int = 260,
    ) -> None:
        if len(widths) != len(strides) or not widths:
            raise InputError(f"speech_resnet needs strides for each width, but got {widths} and {strides}")
        if members < 1:
            raise InputError(f"speech_resnet needs at least one member, but got {members}")
        wide = 2 * recurrent if recurrent else widths[-1]
        super().__init__(
            heads=heads,
            features=2 * wide * members,
            dropout=dropout,
            settings=Settings(rate_hz=16000, n_fft=n_fft, hop=hop, mels=mels, low_hz=low_hz),
            frames=frames,
            min_s=0.5,
            trim=True,
            members=members,
        )
        steps = [(int(down), int(along)) for down, along in strides]
        self.nets = nn.ModuleList(
            _Member(stem, widths, steps, recurrent=recurrent, attention=attention) for _ in range(members)
        )

    def embed(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return mean and deviation over time, weighted by attention, of each member, float (N, members * D).

        Without a mask, the recording is followed by silence, as a recording in a batch of longer ones is: convolutions
        see beyond its end.
        """
        frames = x.shape[3]
        if mask is None:
            x = nn.functional.pad(x, (0, _BEYOND), value=SILENCE)
        return torch.cat([net(x, mask, frames) for net in self.nets], dim=1)


class _Member(nn.Module):
    def __init__(
        self, stem: int, widths: Sequence[int], strides: Sequence[tuple[int, int]], *, recurrent: int, attention: int
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, stem, 5, stride=2, padding=2, bias=False)
        before = [stem, *widths[:-1]]
        self.blocks = nn.Sequential(*(ResidualBlock(i, o, s) for i, o, s in zip(before, widths, strides, strict=True)))
        self.norm = nn.BatchNorm2d(widths[-1])
        self.drop = nn.Dropout(0.2)
        self.recurrent = nn.GRU(widths[-1], recurrent, batch_first=True, bidirectional=True) if recurrent else None
        wide = 2 * recurrent if recurrent else widths[-1]
        self.attention = nn.Sequential(nn.Conv1d(wide, attention, 1), nn.Tanh(), nn.Conv1d(attention, wide, 1))
        self.step = 2
        for _, along in strides:
            self.step *= along

    def forward(self, x: Tensor, mask: Tensor | None, frames: int) -> Tensor:
        over_time = torch.relu(self.norm(self.blocks(self.stem(x)))).mean(dim=2)
        if self.recurrent is not None:
            over_time = self.recurrent(self.drop(over_time.transpose(1, 2)))[0].transpose(1, 2)
        if mask is None:
            # All steps that see any of the recording, as `_inside` has them.
            return self._pooled(over_time[..., : (frames + self.step - 1) // self.step].float(), None)
        return self._pooled(over_time.float(), self._inside(mask, over_time.shape[2]))

    def _inside(self, mask: Tensor, steps: int) -> Tensor:
        """Return which steps see any sound, (N, 1, steps)."""
        kept = nn.functional.max_pool1d(mask.unsqueeze(1), self.step, self.step, ceil_mode=True)
        return kept[..., :steps]

    def _pooled(self, values: Tensor, inside: Tensor | None) -> Tensor:
        weight = self.attention(values).float()
        share = (weight if inside is None else weight.masked_fill(inside == 0, -1e4)).softmax(dim=2)
        mean = (share * values).sum(dim=2)
        spread = ((share * values * values).sum(dim=2) - mean * mean).clamp(min=1e-5).sqrt()
        return torch.cat([mean, spread], dim=1)
