"""Augmentation of gray face crops on whole batches: it changes how a face was taken, not what it expresses.

Covered are the scatter of detector boxes (shift, scale, rotation), tight and loose crops, lighting (gamma, contrast,
gradients, histogram equalization), blur, low resolution, sensor noise, JPEG and occlusion.  Everything draws from the
generator that is handed in, so that a seed fixes a run.
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

__all__ = ["Augmentation"]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is done to a batch, and how strongly.

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
    side = int(torch.randint(14, 37, (), generator=generator))
    small = nnf.interpolate(x, size=(side, side), mode="area")
    return nnf.interpolate(small, size=x.shape[-2:], mode="bilinear", align_corners=False)


def _blur(x: Tensor, generator: torch.Generator) -> Tensor:
    sigma = 0.4 + 1.1 * float(torch.rand((), generator=generator))
    steps = torch.arange(-4, 5, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (steps / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = nnf.pad(x, (4, 4, 4, 4), mode="reflect")
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
