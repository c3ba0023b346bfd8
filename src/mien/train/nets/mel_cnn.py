"""A small convolutional network over mel spectrograms of a fixed length, a common baseline on RAVDESS.

3 x 3 convolutions 32-32 and 64-64, each pair with batch norm, leaky ReLU (slope 0.1), pooling and spatial dropout
(0.07 and 0.14), then a global average; ``recipes/mel-cnn.toml`` trains it with a decay of 5e-4.
"""

from __future__ import annotations

from torch import Tensor, nn

from mien.speech.features import MEL_CNN, MEL_CNN_FRAMES
from mien.train.nets.base import SpeechNetwork, under_peak

__all__ = ["MelCNN"]

_SLOPE = 0.1
"""Of the leaky ReLU."""


class MelCNN(SpeechNetwork):
    """40 mel bands by 272 frames: recordings are padded with silence to 6.3 s, or cut in the middle.

    Parameters
    ----------
    heads : dict of str to int
        Number of classes of each head.
    widths : (int, int)
        Channels of the two pairs of convolutions.
    spatial_dropout : (float, float)
        Probability of dropping a whole channel after each pair.
    dropout : float
        Dropout before the heads.
    """

    def __init__(
        self,
        *,
        heads: dict[str, int],
        widths: tuple[int, int] = (32, 64),
        spatial_dropout: tuple[float, float] = (0.07, 0.14),
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            heads=heads,
            features=widths[-1],
            dropout=dropout,
            settings=MEL_CNN,
            frames=MEL_CNN_FRAMES,
            min_s=(MEL_CNN_FRAMES - 1) * MEL_CNN.hop / MEL_CNN.rate_hz,
            trim=False,
        )
        layers: list[nn.Module] = []
        before = 1
        for number, (width, share) in enumerate(zip(widths, spatial_dropout, strict=True)):
            for _ in range(2):
                layers += [nn.Conv2d(before, width, 3, padding=1), nn.LeakyReLU(_SLOPE), nn.BatchNorm2d(width)]
                before = width
            if number == 0:
                layers.append(nn.MaxPool2d(2))
            layers.append(nn.Dropout2d(share))
        self.body = nn.Sequential(*layers)

    def level(self, db: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return spectrograms within 80 dB of their loudest band."""
        return under_peak(db, mask)

    def embed(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the average over bands and frames, float (N, widths[-1]); the silence around belongs to them."""
        maps: Tensor = self.body(x)
        return maps.mean(dim=(2, 3))
