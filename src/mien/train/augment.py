"""Augmentation of whole batches: it changes how a face was taken or a voice recorded, not what it expresses.

Gray face crops: the scatter of detector boxes (shift, scale, rotation), tight and loose crops, lighting (gamma,
contrast, gradients, histogram equalization), blur, low resolution, sensor noise, JPEG and occlusion.

Spectrograms: speed and pitch of the voice, the room, the microphone's and the line's frequency response, noise, and
masks over time and bands (SpecAugment, Park et al. 2019, arXiv:1904.08779).  Level needs none: networks do not see it.

Everything draws from the generator that is handed in, so that a seed fixes a run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from mien.speech.features import AMIN

__all__ = ["Augmentation", "SoundAugmentation"]

_FLOOR_DB = -100.0

_SIDE = 48
"""Side of the crops in pixels for which blur and low resolution are set; with larger ones they grow."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is done to a batch of face crops, and how strongly.

    Parameters
    ----------
    rotation_deg : float
        Rotation, uniform within plus or minus this.
    scale : float
        Zoom by exp(uniform within plus or minus this): 0.22 is a factor from 0.80 to 1.25.
    aspect : float
        Width against height, by exp(uniform within plus or minus this).
    shear : float
        Horizontal shear, uniform within plus or minus this share of the height.
    shift : float
        Shift of each axis, uniform within plus or minus this share of the side.
    flip : float
        Probability of mirroring.
    gamma : float
        Standard deviation of log gamma.
    contrast : float
        Standard deviation of log contrast.  The mean level is shifted along with it, uniform within 20 gray levels
        either way, whatever the strengths.
    equalize, gradient, blur, low_resolution, noise, jpeg, erase : float
        Probability of each for an image.
    """

    rotation_deg: float = 12.0
    scale: float = 0.22
    aspect: float = 0.06
    shear: float = 0.06
    shift: float = 0.08
    flip: float = 0.5
    gamma: float = 0.3
    contrast: float = 0.25
    equalize: float = 0.1
    gradient: float = 0.15
    blur: float = 0.12
    low_resolution: float = 0.15
    noise: float = 0.15
    jpeg: float = 0.1
    erase: float = 0.35

    def __call__(self, gray: Tensor, generator: torch.Generator) -> Tensor:
        """Augment a batch.

        Parameters
        ----------
        gray : torch.Tensor
            float32 (N, 1, S, S) in 0..255, on the CPU.
        generator : torch.Generator
            Source of all randomness.

        Returns
        -------
        torch.Tensor
            A new tensor of the same shape, dtype and range.
        """
        x = self._geometry(gray, generator)
        x = _some(x, self.equalize, generator, lambda part: _equalize(part))
        x = self._light(x, generator)
        x = _some(x, self.gradient, generator, lambda part: _gradient(part, generator))
        x = _some(x, self.low_resolution, generator, lambda part: _low_resolution(part, generator))
        x = _some(x, self.blur, generator, lambda part: _blur(part, generator))
        x = _some(x, self.noise, generator, lambda part: _noise(part, generator))
        x = x.clamp(0, 255)
        x = _some(x, self.jpeg, generator, lambda part: _jpeg(part, generator))
        return _some(x, self.erase, generator, lambda part: _erase(part, generator))

    def _geometry(self, x: Tensor, generator: torch.Generator) -> Tensor:
        n = len(x)
        angle = _uniform(n, math.radians(self.rotation_deg), generator)
        zoom = _uniform(n, self.scale, generator).exp()
        aspect = _uniform(n, self.aspect, generator).exp()
        shear = _uniform(n, self.shear, generator)
        mirror = torch.where(torch.rand(n, generator=generator) < self.flip, -1.0, 1.0)
        cos, sin = angle.cos(), angle.sin()
        theta = torch.zeros(n, 2, 3)
        theta[:, 0, 0] = mirror * zoom * aspect * cos
        theta[:, 0, 1] = zoom * (shear - sin)
        theta[:, 1, 0] = mirror * zoom * aspect * sin
        theta[:, 1, 1] = zoom * cos
        theta[:, :, 2] = _uniform((n, 2), 2 * self.shift, generator)
        grid = nnf.affine_grid(theta, list(x.shape), align_corners=False)
        return nnf.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    def _light(self, x: Tensor, generator: torch.Generator) -> Tensor:
        shape = (len(x), 1, 1, 1)
        power = (self.gamma * torch.randn(shape, generator=generator)).exp()
        gain = (self.contrast * torch.randn(shape, generator=generator)).exp()
        level = 40 * (torch.rand(shape, generator=generator) - 0.5)
        x = 255 * (x.clamp(0, 255) / 255).pow(power)
        middle = x.mean(dim=(2, 3), keepdim=True)
        return ((x - middle) * gain + middle + level).clamp(0, 255)


def _uniform(shape: int | tuple[int, ...], bound: float, generator: torch.Generator) -> Tensor:
    return bound * (2 * torch.rand(shape, generator=generator) - 1)


def _some(x: Tensor, probability: float, generator: torch.Generator, change: Callable[[Tensor], Tensor]) -> Tensor:
    chosen = (torch.rand(len(x), generator=generator) < probability).nonzero().squeeze(1)
    if len(chosen) == 0:
        return x
    return x.index_copy(0, chosen, change(x[chosen]))


def _equalize(x: Tensor) -> Tensor:
    pixels = x.clamp(0, 255).round().to(torch.uint8).numpy()
    return torch.from_numpy(np.stack([cv2.equalizeHist(p[0])[None] for p in pixels]).astype(np.float32))


def _gradient(x: Tensor, generator: torch.Generator) -> Tensor:
    n, _, height, width = x.shape
    angle = _uniform(n, math.pi, generator)
    depth = 90 * torch.rand(n, generator=generator)
    rows = torch.linspace(-1, 1, height).view(1, height, 1)
    columns = torch.linspace(-1, 1, width).view(1, 1, width)
    ramp = angle.cos().view(n, 1, 1) * columns + angle.sin().view(n, 1, 1) * rows
    return (x + (depth.view(n, 1, 1) * ramp).unsqueeze(1)).clamp(0, 255)


def _low_resolution(x: Tensor, generator: torch.Generator) -> Tensor:
    side = int(torch.randint(14, 37, (), generator=generator)) * x.shape[-1] // _SIDE
    small = nnf.interpolate(x, size=(side, side), mode="area")
    return nnf.interpolate(small, size=x.shape[-2:], mode="bilinear", align_corners=False)


def _blur(x: Tensor, generator: torch.Generator) -> Tensor:
    sigma = (0.4 + 1.1 * float(torch.rand((), generator=generator))) * x.shape[-1] / _SIDE
    reach = max(4 * x.shape[-1] // _SIDE, 1)
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (steps / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = nnf.pad(x, (reach,) * 4, mode="reflect")
    return nnf.conv2d(nnf.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))


def _noise(x: Tensor, generator: torch.Generator) -> Tensor:
    strength = 14 * torch.rand((len(x), 1, 1, 1), generator=generator)
    return x + strength * torch.randn(x.shape, generator=generator)


def _jpeg(x: Tensor, generator: torch.Generator) -> Tensor:
    qualities = torch.randint(12, 70, (len(x),), generator=generator).tolist()
    pixels = x.round().to(torch.uint8).numpy()
    decoded = []
    for image, quality in zip(pixels, qualities, strict=True):
        _, coded = cv2.imencode(".jpg", image[0], [cv2.IMWRITE_JPEG_QUALITY, quality])
        decoded.append(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE))
    return torch.from_numpy(np.stack([np.asarray(p, dtype=np.float32)[None] for p in decoded]))


def _erase(x: Tensor, generator: torch.Generator) -> Tensor:
    """Random erasing (Zhong et al. 2017, arXiv:1708.04896): one rectangle of 3 to 20 % of the area."""
    n, _, height, width = x.shape
    area = 0.03 + 0.17 * torch.rand(n, generator=generator)
    ratio = _uniform(n, math.log(2.5), generator).exp()
    tall = ((area * ratio).sqrt() * height).clamp(max=height)
    wide = ((area / ratio).sqrt() * width).clamp(max=width)
    top = torch.rand(n, generator=generator) * (height - tall)
    left = torch.rand(n, generator=generator) * (width - wide)
    rows = torch.arange(height).view(1, height, 1)
    columns = torch.arange(width).view(1, 1, width)
    inside = (
        (rows >= top.view(n, 1, 1))
        & (rows < (top + tall).view(n, 1, 1))
        & (columns >= left.view(n, 1, 1))
        & (columns < (left + wide).view(n, 1, 1))
    )
    fill = 255 * torch.rand((n, 1, 1, 1), generator=generator)
    return torch.where(inside.unsqueeze(1), fill, x)


@dataclass(frozen=True, slots=True)
class SoundAugmentation:
    """What is done to a batch of spectrograms, and how strongly.

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
