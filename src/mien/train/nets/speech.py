"""What every speech net has in common: the front end, the input contract, the heads."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from mien.speech.features import AMIN, Settings, mel_matrix, window
from mien.train.nets.base import EmotionNet

__all__ = ["SILENCE", "DeployedSpeech", "FrontEnd", "SpeechNet", "at_rms", "under_peak"]

_UNDER_DB = 80.0
"""What lies further under its reference counts as silence (as librosa's ``top_db``)."""

_SCALE_DB = 20.0
"""One unit of what a net sees."""

SILENCE = -_UNDER_DB / 2 / _SCALE_DB
"""Silence and padding, as a net sees them."""

_OUTSIDE_DB = -1e4
"""Level of padding: under any floor."""


class FrontEnd(nn.Module):
    """Waveform to mel energies in dB: `mien.speech.features.log_mel` as a fixed convolution and a matrix.

    The waveform is scaled to a largest magnitude of 1 first, so that the floor of -100 dB is under the recording's own
    peak, however quiet it is.  There is no Fourier operator in it, which not every engine has.

    Parameters
    ----------
    settings : Settings
        Rate, transform and bands.
    """

    bins: Tensor
    taper: Tensor
    filters: Tensor

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        filters = torch.from_numpy(mel_matrix(settings).copy())
        # Bins that no band uses need not be computed.
        used = filters.sum(dim=0) > 0
        self.register_buffer("bins", used.nonzero()[:, 0], persistent=False)
        self.register_buffer("taper", torch.from_numpy(window(settings.n_fft).copy()), persistent=False)
        self.register_buffer("filters", filters[:, used].contiguous(), persistent=False)

    def kernel(self) -> Tensor:
        """Return the windowed cosines and sines of all bins, float32 (2 * bins, 1, n_fft).

        They are computed anew, so that a graph need not hold them: a runtime does it once, when it loads the graph.
        """
        n = self.settings.n_fft
        # Whole turns are left out while the numbers are whole: no rounding at high bins.
        turns = (self.bins[:, None] * torch.arange(n)) % n
        angle = turns.to(torch.float32) * (2 * torch.pi / n)
        return (torch.cat([angle.cos(), angle.sin()]) * self.taper).unsqueeze(1)

    def forward(self, wave: Tensor) -> Tensor:
        """Return dB under full scale, float32 (N, mels, 1 + n // hop), of waveforms, float32 (N, n)."""
        peak = wave.abs().amax(dim=1, keepdim=True).clamp(min=1e-9)
        padded = nn.functional.pad((wave / peak).unsqueeze(1), (self.settings.n_fft // 2,) * 2)
        parts = nn.functional.conv1d(padded, self.kernel(), stride=self.settings.hop)
        real, imaginary = parts.chunk(2, dim=1)
        energies = torch.matmul(self.filters, real * real + imaginary * imaginary)
        return 10 * energies.clamp(min=AMIN).log10()


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
        return _ranged(db - _over(power.mean(dim=(2, 3), keepdim=True)))
    inside = mask[:, None, None, :]
    total = (power * inside).sum(dim=(2, 3), keepdim=True)
    mean = total / (inside.sum(dim=3, keepdim=True) * db.shape[2])
    return _ranged(torch.where(inside > 0, db - _over(mean), _OUTSIDE_DB))


def _over(mean: Tensor) -> Tensor:
    return 10 * mean.clamp(min=AMIN).log10() + 10


def under_peak(db: Tensor, mask: Tensor | None = None) -> Tensor:
    """As `at_rms`, but the loudest band of the recording stands at 2."""
    if mask is None:
        return _ranged(db - db.amax(dim=(1, 2, 3), keepdim=True))
    inside = mask[:, None, None, :] > 0
    shown = torch.where(inside, db, _OUTSIDE_DB)
    return _ranged(torch.where(inside, db - shown.amax(dim=(1, 2, 3), keepdim=True), _OUTSIDE_DB))


def _ranged(db: Tensor) -> Tensor:
    return (db.clamp(min=-_UNDER_DB) + _UNDER_DB / 2) / _SCALE_DB


class SpeechNet(EmotionNet):
    """A net from spectrograms to one vector of logits a head.

    Parameters
    ----------
    heads : dict of str to int
        Number of classes of each head.
    features : int
        Length of the embedding.
    dropout : float
        Probability of dropping an entry of the embedding while training.
    settings : Settings
        The front end.
    frames : int
        Frames that training cuts or pads recordings to.
    least_s : float
        Shortest recording that the net takes; shorter ones are padded with silence on both sides.
    trimmed : bool
        Whether the silence before and after the speech is cut away (see `mien.speech.activity.speech_bounds`).
    members : int
        Nets in one, each with its share of the embedding.
    """

    def __init__(
        self,
        *,
        heads: dict[str, int],
        features: int,
        dropout: float,
        settings: Settings,
        frames: int,
        least_s: float,
        trimmed: bool,
        members: int = 1,
    ) -> None:
        super().__init__(heads=heads, features=features, dropout=dropout)
        self.settings, self.frames, self.least_s, self.trimmed = settings, frames, least_s, trimmed
        self.members = members

    def example(self) -> tuple[Tensor, ...]:
        """Return silence of the length that training gives it, and its mask."""
        return torch.zeros(1, 1, self.settings.mels, self.frames), torch.ones(1, self.frames)

    def level(self, db: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return what the net sees, float32 (N, 1, M, T), of spectrograms in dB; here `at_rms`."""
        return at_rms(db, mask)

    @abstractmethod
    def embed(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the embedding, float (N, D), of levelled spectrograms (N, 1, M, T), maybe with their mask (N, T)."""

    def forward(self, x: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Return logits by head, float (N, classes).

        Parameters
        ----------
        x : torch.Tensor
            float32 (N, 1, M, T): spectrograms as `level` returns them.
        mask : torch.Tensor
            float32 (N, T): 1 for frames of the recording, 0 for padding.
        """
        embedding = self.dropout(self.embed(x, mask))
        return {name: head(embedding) for name, head in self.heads.items()}

    def each(self, x: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Return the logits of each member, float (N, classes, members); `forward` returns their mean."""
        embedding = self.dropout(self.embed(x, mask))
        parts = embedding.reshape(len(embedding), self.members, -1)
        result = {}
        for name, head in self.heads.items():
            assert isinstance(head, nn.Linear)
            weights = head.weight.reshape(len(head.weight), self.members, -1)
            own = torch.einsum("nmd,cmd->ncm", parts.float(), weights.float())
            result[name] = self.members * own + head.bias[None, :, None]
        return result


class DeployedSpeech(nn.Module):
    """A net with its front end, as it is exported: a waveform in, logits and embedding out.

    Parameters
    ----------
    net : SpeechNet
        The trained net.
    """

    def __init__(self, net: SpeechNet) -> None:
        super().__init__()
        self.net = net
        self.front = FrontEnd(net.settings)

    def forward(self, wave: Tensor) -> tuple[Tensor, ...]:
        """Return one logits tensor a head, then the embedding (N, D), of float32 (N, n) at the net's rate."""
        db = self.front(wave).unsqueeze(1)
        embedding = self.net.embed(self.net.level(db))
        return (*(head(embedding) for head in self.net.heads.values()), embedding)
