"""CNN-LSTM: an embedding of every frame by a trained face model, a dense layer, an LSTM over time.

The recurrent half of Fan, Lu, Li and Liu, "Video-based emotion recognition using CNN-RNN and C3D hybrid networks",
ICMI 2016, doi:10.1145/2993148.2997632.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.train.nets.base import VideoNetwork, frames_first, mean_and_deviation

__all__ = ["CNNLSTM"]


class CNNLSTM(VideoNetwork):
    """Dense layer and LSTM over the embeddings of the frames; the state after the last frame is the clip's.

    Parameters
    ----------
    heads, dropout, frames, answers, embedding
        See `VideoNetwork`; what is dropped is dropped of the dense layer's output, too.
    dense : int
        Width of the layer on each embedding.
    recurrent : int
        Width of the LSTM.
    """

    uses_features = True
    middle: Tensor
    spread: Tensor

    def __init__(
        self,
        *,
        heads: dict[str, int],
        dense: int = 128,
        recurrent: int = 128,
        dropout: float = 0.5,
        frames: int = 16,
        answers: int = 15,
        embedding: int = 256,
    ) -> None:
        super().__init__(
            heads=heads, features=recurrent, dropout=dropout, frames=frames, answers=answers, embedding=embedding
        )
        self.dense = nn.Linear(embedding, dense)
        self.recurrent = nn.LSTM(dense, recurrent, batch_first=True)
        self.register_buffer("middle", torch.zeros(embedding))
        self.register_buffer("spread", torch.ones(embedding))

    def set_statistics(self, features: Tensor, mask: Tensor) -> None:
        """Take mean and deviation of the embedding from the frames of the training clips."""
        middle, spread = mean_and_deviation(features[mask > 0][:, self.answers :])
        self.middle.copy_(middle)
        self.spread.copy_(spread)

    def embed(self, images: Tensor, features: Tensor, mask: Tensor) -> Tensor:
        """Return the state after the last frame that is there."""
        front, lengths = frames_first((features[..., self.answers :] - self.middle) / self.spread, mask)
        states: Tensor = self.recurrent(self.dropout(torch.relu(self.dense(front))))[0]
        return states[torch.arange(len(states), device=states.device), lengths - 1]
