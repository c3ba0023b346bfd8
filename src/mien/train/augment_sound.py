"""Augmentation of spectrograms on whole batches: it changes how a voice was recorded and who speaks, not the emotion.

Speed and pitch of the voice, the room, the microphone's and the line's frequency response, noise, and masks over time
and bands (SpecAugment, Park et al. 2019, arXiv:1904.08779).  Level needs none: nets do not see it.  Everything draws
from the generator that is handed in, so that a seed fixes a run.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as nnf
from torch import Tensor

from mien.speech.features import AMIN

__all__ = ["SoundAugmentation"]

_FLOOR_DB = -100.0


@dataclass(frozen=True, slots=True)
class SoundAugmentation:
    """What is done to a batch, and how strongly.

    Parameters
    ----------
    speed : float
        Speed by exp(uniform within plus or minus this), pitch unchanged: 0.2 is a factor from 0.82 to 1.22.
    pitch : float
        Shift along the mel axis, uniform within plus or minus this share of it; the same share of the whole is added
        as a stretch.  0.1 of 64 bands up to 8 kHz is about two semitones in the middle.
    edges_s : float
        Sound around the speech that is kept or cut away, uniform: where speech begins is never known exactly.
    response_db : float
        Standard deviation of a smooth random frequency response.
    band_limit, noise, reverberation : float
        Probability of each for a recording: nothing over a frequency in the upper third of the bands (a telephone line,
        a codec), colored noise 10 to 70 dB under the loudest band, and the tail of a room of 0.1 to 0.6 s.
    time_mask, band_mask : float
        Longest of two masks over time, and over bands, as a share of the recording and of the bands; 0 for none.
    """

    speed: float = 0.2
    pitch: float = 0.1
    edges_s: float = 0.3
    response_db: float = 1.0
    band_limit: float = 0.1
    noise: float = 0.2
    reverberation: float = 0.1
    time_mask: float = 0.0
    band_mask: float = 0.0

    def sound(
        self, db: Tensor, lengths: Tensor, generator: torch.Generator, *, frames_per_s: float
    ) -> tuple[Tensor, Tensor]:
        """Change a batch of recordings.

        Parameters
        ----------
        db : torch.Tensor
            float32 (N, 1, M, T) in dB, each recording from the first frame on.
        lengths : torch.Tensor
            int64 (N,): frames of each recording.
        generator : torch.Generator
            Source of all randomness.
        frames_per_s : float
            Rate of the frames.

        Returns
        -------
        db : torch.Tensor
            float32 (N, 1, M, T).
        lengths : torch.Tensor
            int64 (N,): frames after the change of speed, at most T.
        """
        db, lengths = self._warped(db, lengths, generator)
        if self.reverberation > 0:
            db = self._reverberated(db, generator, frames_per_s)
        if self.response_db > 0:
            points = torch.randn(len(db), 1, 6, 1, generator=generator) * self.response_db
            curve = nnf.interpolate(points, size=(db.shape[2], 1), mode="bicubic", align_corners=True)
            db = db + curve
        if self.band_limit > 0:
            db = self._limited(db, generator)
        if self.noise > 0:
            db = self._noisy(db, generator)
        return db, lengths

    def _warped(self, db: Tensor, lengths: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        n = len(db)
        slower = _uniform(n, self.speed, generator).exp()
        theta = torch.zeros(n, 2, 3)
        # The first frame stays where it is; the axis of bands is moved and stretched about its middle.
        theta[:, 0, 0] = 1 / slower
        theta[:, 0, 2] = 1 / slower - 1
        theta[:, 1, 1] = _uniform(n, self.pitch / 2, generator).exp()
        theta[:, 1, 2] = _uniform(n, self.pitch, generator)
        grid = nnf.affine_grid(theta, list(db.shape), align_corners=False)
        warped = nnf.grid_sample(db, grid, mode="bilinear", padding_mode="border", align_corners=False)
        return warped, (lengths * slower).round().long().clamp(min=1, max=db.shape[3])

    def _reverberated(self, db: Tensor, generator: torch.Generator, frames_per_s: float) -> Tensor:
        on = torch.rand(len(db), generator=generator) < self.reverberation
        tail_s = 0.1 + 0.5 * torch.rand(len(db), generator=generator)
        direct = 0.3 + 0.6 * torch.rand(len(db), generator=generator)
        if not on.any():
            return db
        # Power falls by 60 dB in the time of the tail; half a second of it is enough.
        steps = torch.arange(max(int(0.5 * frames_per_s), 2))
        decay = torch.pow(10.0, -6 * steps / (tail_s[on, None] * frames_per_s))
        decay[:, 0] = 0
        decay = decay / decay.sum(dim=1, keepdim=True).clamp(min=1e-9) * (1 - direct[on, None])
        decay[:, 0] = direct[on]
        power = torch.pow(10.0, db[on, 0] / 10)
        padded = nnf.pad(power, (len(steps) - 1, 0))
        # One filter a recording, the same for all its bands.
        rooms = nnf.conv1d(padded.transpose(0, 1), decay.flip(1).unsqueeze(1), groups=int(on.sum()))
        changed = db.clone()
        changed[on, 0] = 10 * rooms.transpose(0, 1).clamp(min=AMIN).log10()
        return changed

    def _limited(self, db: Tensor, generator: torch.Generator) -> Tensor:
        n, bands = len(db), db.shape[2]
        on = torch.rand(n, generator=generator) < self.band_limit
        highest = bands * (0.67 + 0.33 * torch.rand(n, generator=generator))
        cut = (torch.arange(bands)[None] > highest[:, None]) & on[:, None]
        return torch.where(cut[:, None, :, None], _FLOOR_DB, db)

    def _noisy(self, db: Tensor, generator: torch.Generator) -> Tensor:
        n, bands = len(db), db.shape[2]
        on = torch.rand(n, generator=generator) < self.noise
        level = db.amax(dim=(1, 2, 3)) - 10 - 60 * torch.rand(n, generator=generator)
        tilt = torch.linspace(-0.5, 0.5, bands)[None] * (15 * torch.randn(n, 1, generator=generator))
        if not on.any():
            return db
        noise = (level[:, None] + tilt)[on, None, :, None] + 3 * torch.randn(
            int(on.sum()), 1, bands, db.shape[3], generator=generator
        )
        changed = db.clone()
        changed[on] = 10 * (torch.pow(10.0, db[on] / 10) + torch.pow(10.0, noise / 10)).log10()
        return changed

    def masks(self, x: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
        """Hide bands and stretches of time of levelled spectrograms, float32 (N, 1, M, T), behind their own mean."""
        if self.time_mask <= 0 and self.band_mask <= 0:
            return x
        bands, frames = x.shape[2:]
        inside = torch.arange(frames)[None] < lengths[:, None]
        count = inside.sum(dim=1).clamp(min=1) * bands
        mean = (x * inside[:, None, None]).sum(dim=(1, 2, 3)) / count
        hidden = torch.zeros(len(x), bands, frames, dtype=torch.bool)
        for _ in range(2):
            hidden |= _stretch(torch.full((len(x),), bands), self.band_mask, bands, generator)[:, :, None]
            hidden |= _stretch(lengths, self.time_mask, frames, generator)[:, None] & inside[:, None]
        return torch.where(hidden.unsqueeze(1), mean[:, None, None, None], x)


def _stretch(lengths: Tensor, share: float, total: int, generator: torch.Generator) -> Tensor:
    """Return one random stretch of each row, bool (N, total): up to a share of its length, within its length."""
    width = torch.rand(len(lengths), generator=generator) * share * lengths
    begin = torch.rand(len(lengths), generator=generator) * (lengths - width)
    at = torch.arange(total)[None]
    return (at >= begin[:, None].round()) & (at < (begin + width)[:, None].round())


def _uniform(n: int, bound: float, generator: torch.Generator) -> Tensor:
    return (2 * torch.rand(n, generator=generator) - 1) * bound
