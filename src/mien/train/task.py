"""The training task as a Lightning module: any net and heads, soft labels, mixup, distillation, measurement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mien import metrics
from mien.errors import InputError
from mien.train.corpus import Rows
from mien.train.data import Batch, place
from mien.train.init import freeze
from mien.train.nets import EmotionNet, FaceNet, SpeechNet, VideoNet, build, build_speech, build_video
from mien.train.recipe import Recipe

__all__ = ["EmotionTask", "FaceTask", "SpeechTask", "VideoTask", "class_weights"]

_Seen = tuple[NDArray[np.int64], NDArray[np.float32]]


class EmotionTask(pl.LightningModule):
    """Trains a net on the labels of one or several heads together.

    Parameters
    ----------
    recipe : Recipe
        Loss and optimizer.
    net : EmotionNet
        Takes the inputs of a batch and returns logits by head.
    heads : mapping of str to int
        Number of classes of each head.
    voted : sequence of str
        Heads whose targets are distributions of votes: they are not smoothed.
    weights : mapping of str to torch.Tensor
        By head: float32 (classes,), weights of the classes in the loss; a head without any has equal ones.
    teachers : sequence of torch.nn.Module
        Trained nets to learn from; they are kept out of the checkpoint.
    """

    chosen_by = "accuracy"
    """The metric whose mean over all heads chooses the epoch."""

    layout = torch.channels_last
    """The order in memory that nets of this kind are fastest with."""

    def __init__(
        self,
        recipe: Recipe,
        net: EmotionNet,
        heads: Mapping[str, int],
        *,
        voted: Sequence[str] = (),
        weights: Mapping[str, Tensor] | None = None,
        teachers: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__()
        self.recipe, self.heads, self.voted = recipe, dict(heads), tuple(voted)
        self.net = net
        # In plain containers these are no submodules: neither saved nor trained nor averaged.
        self._teachers = tuple(teacher.eval().requires_grad_(False) for teacher in teachers)
        self._weights = dict(weights or {})
        self._seen: dict[str, dict[str, list[_Seen]]] = {"train": {}, "val": {}}
        self._losses: list[tuple[float, int]] = []

    def hold_still(self) -> list[str]:
        """Freeze what the recipe names, and return the names of those parameters."""
        return freeze(self.net, self.recipe.freeze) if self.recipe.freeze else []

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Return logits of each head, float32 (N, classes), of what the net takes."""
        return {head: logits.float() for head, logits in self.net(*self.laid_out(*inputs)).items()}

    def laid_out(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the inputs in the memory layout that the net is fastest with."""
        first, *others = inputs
        return (first.contiguous(memory_format=self.layout), *others)

    def on_train_epoch_start(self) -> None:
        """Forget what was seen."""
        self._seen["train"].clear()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        inputs, targets = batch.inputs, self._smoothed(batch.targets)
        if self.recipe.loss.mixup > 0:
            inputs, targets = self._mixed(inputs, targets)
        targets = self._with_teachers(inputs, targets)
        logits = self(*inputs)
        loss = self._loss(logits, targets)
        if not loss.isfinite():
            raise InputError(
                f"training came apart at step {self.global_step}: the loss is {loss.item()}; lower optimizer.rate"
            )
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(inputs[0]), sync_dist=place()[1] > 1)
        self._see("train", logits, batch.truth)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget what was seen."""
        self._seen["val"].clear()
        self._losses.clear()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the metrics of the epoch."""
        logits = self(*batch.inputs)
        self._losses.append((float(self._loss(logits, batch.targets)), len(batch.inputs[0])))
        self._see("val", logits, batch.truth)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics, and the score that chooses the checkpoint."""
        losses = [pair for part in _gathered(self._losses) for pair in part]
        total = sum(n for _, n in losses)
        self._log("val_loss", sum(loss * n for loss, n in losses) / max(total, 1))
        scores = self._log_scores("val")
        self._log("val_score", sum(scores) / max(len(scores), 1))
        # The training batches of the epoch have passed by now; Lightning asks the module for its own end of the epoch
        # only after the history is written.  They are measured as augmented, and while the net was learning.
        if self._seen["train"]:
            self._log_scores("train")

    def _see(self, stage: str, logits: dict[str, Tensor], truth: dict[str, Tensor]) -> None:
        for head, values in logits.items():
            shares = values.detach().softmax(dim=1)
            probabilities = (shares if shares.ndim == 2 else shares.mean(dim=2)).cpu().numpy()
            self._seen[stage].setdefault(head, []).append((truth[head].cpu().numpy(), probabilities))

    def seen(self, stage: str) -> dict[str, _Seen]:
        """Return, by head, truth int64 (n,) and probabilities float32 (n, classes) of the last epoch."""
        parts = _gathered(self._seen[stage])
        result = {}
        for head in self.heads:
            pairs = [pair for part in parts for pair in part.get(head, [])]
            truth = np.concatenate([labels for labels, _ in pairs])
            result[head] = (truth, np.concatenate([probabilities for _, probabilities in pairs]))
        return result

    def _log_scores(self, stage: str) -> list[float]:
        chosen = []
        for head, (truth, probabilities) in self.seen(stage).items():
            if not (truth >= 0).any():
                continue
            scores = metrics.scores(truth, probabilities)
            for name, value in scores.items():
                self._log(f"{stage}_{head}_{name}", value)
            chosen.append(scores[self.chosen_by])
        return chosen

    def _log(self, name: str, value: float) -> None:
        # Every process has gathered the same rows, so there is nothing left to reduce.
        self.log(name, float(value), rank_zero_only=False, sync_dist=False)

    def configure_optimizers(self) -> Any:
        """Return the optimizer and its schedule."""
        options = self.recipe.optimizer
        moving = [p for p in self.net.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in moving if p.ndim > 1], "weight_decay": options.weight_decay},
            {"params": [p for p in moving if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer: torch.optim.Optimizer
        if options.kind == "adamw":
            optimizer = torch.optim.AdamW(groups, lr=options.rate)
        else:
            optimizer = torch.optim.SGD(groups, lr=options.rate, momentum=options.momentum, nesterov=True)
        if options.schedule == "plateau":
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer, mode="max", factor=options.factor, patience=options.patience
            )
            return [optimizer], [{"scheduler": plateau, "interval": "epoch", "monitor": "val_score"}]
        return [optimizer], [{"scheduler": self._by_step(optimizer), "interval": "step"}]

    def _by_step(self, optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LambdaLR:
        options = self.recipe.optimizer
        total = int(self.trainer.estimated_stepping_batches)
        rise = max(round(total * options.warmup_epochs / self.recipe.epochs), 1)

        def factor(step: int) -> float:
            if step < rise:
                return (step + 1) / rise
            if options.schedule == "constant":
                return 1.0
            return 0.5 * (1 + math.cos(math.pi * min((step - rise) / max(total - rise, 1), 1.0)))

        return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)

    def _smoothed(self, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        share = self.recipe.loss.label_smoothing
        return {head: target if head in self.voted else _smooth(target, share) for head, target in targets.items()}

    def _mixed(
        self, inputs: tuple[Tensor, ...], targets: dict[str, Tensor]
    ) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        alpha = self.recipe.loss.mixup
        first, *masks = inputs
        shape = (len(first),)
        # A generator of its own: seed and step number fix it, also after a resumption.  The CPU's generator sees
        # the low 32 bits of its seed alone, so the parts are hashed together.
        state = np.random.SeedSequence((self.recipe.seed, self.global_step, place()[0])).generate_state(1, np.uint32)
        generator = torch.Generator().manual_seed(int(state[0]))
        beta = torch._sample_dirichlet(torch.full((*shape, 2), alpha), generator)[:, 0]
        share = torch.maximum(beta, 1 - beta).to(first.device)
        partner = torch.randperm(len(first), generator=generator).to(first.device)
        blend = share.view(-1, *[1] * (first.ndim - 1))
        mixed = (blend * first + (1 - blend) * first[partner], *(torch.maximum(m, m[partner]) for m in masks))
        rows = share.view(-1, 1)
        return mixed, {head: rows * t + (1 - rows) * t[partner] for head, t in targets.items()}

    def _with_teachers(self, inputs: tuple[Tensor, ...], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        if not self._teachers:
            return targets
        options = self.recipe.distillation
        with torch.no_grad():
            answers = [teacher.to(inputs[0].device)(*self.laid_out(*inputs)) for teacher in self._teachers]
        blended = {}
        for head, target in targets.items():
            probabilities = [(answer[head].float() / options.temperature).softmax(1) for answer in answers]
            wise = torch.stack(probabilities).mean(0)
            # Where nobody voted, the teachers alone speak.
            mass = target.sum(1, keepdim=True)
            blended[head] = options.weight * wise + (1 - options.weight) * torch.where(mass > 0, target, wise)
        return blended

    def _loss(self, logits: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        parts = [
            float(getattr(self.recipe.loss, head, 1.0)) * _cross_entropy(logits[head], target, self._weights.get(head))
            for head, target in targets.items()
        ]
        return torch.stack(parts).sum()


class FaceTask(EmotionTask):
    """Trains a face net, built as the recipe says.

    Parameters
    ----------
    recipe, heads, voted, weights
        See `EmotionTask`.
    teachers : sequence of FaceNet
        See `EmotionTask`.
    """

    net: FaceNet

    def __init__(
        self,
        recipe: Recipe,
        heads: Mapping[str, int],
        *,
        voted: Sequence[str] = (),
        weights: Mapping[str, Tensor] | None = None,
        teachers: Sequence[FaceNet] = (),
    ) -> None:
        net = build(recipe.net, dict(heads), **recipe.net_options)
        super().__init__(recipe, net, heads, voted=voted, weights=weights, teachers=teachers)


class SpeechTask(EmotionTask):
    """Trains a speech net, built as the recipe says.

    Parameters
    ----------
    recipe, heads, weights
        See `EmotionTask`.
    teachers : sequence of SpeechNet
        See `EmotionTask`.
    """

    net: SpeechNet
    chosen_by = "uar"

    def __init__(
        self,
        recipe: Recipe,
        heads: Mapping[str, int],
        *,
        weights: Mapping[str, Tensor] | None = None,
        teachers: Sequence[SpeechNet] = (),
    ) -> None:
        net = build_speech(recipe.net, dict(heads), **recipe.net_options)
        super().__init__(recipe, net, heads, weights=weights, teachers=teachers)

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Return logits of each head: in training those of each member, float32 (N, classes, members)."""
        if not self.training or self.net.members == 1:
            return super().forward(*inputs)
        return {head: logits.float() for head, logits in self.net.each(*self.laid_out(*inputs)).items()}


class VideoTask(EmotionTask):
    """Trains a net for clips, built as the recipe says.

    Parameters
    ----------
    recipe, heads, weights
        See `EmotionTask`.

    Raises
    ------
    InputError
        If the recipe asks for mixup, or for teachers: neither is defined for clips.
    """

    net: VideoNet
    layout = torch.contiguous_format

    def __init__(
        self, recipe: Recipe, heads: Mapping[str, int], *, weights: Mapping[str, Tensor] | None = None
    ) -> None:
        if recipe.loss.mixup > 0 or recipe.distillation.teachers:
            raise InputError(f"recipe {recipe.name!r}: clips take neither mixup nor teachers")
        net = build_video(recipe.net, dict(heads), **recipe.net_options)
        super().__init__(recipe, net, heads, weights=weights)

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Return logits; nets without convolutions gain nothing from bfloat16, and lose digits."""
        if self.net.sees_images:
            return super().forward(*inputs)
        with torch.autocast(inputs[0].device.type, enabled=False):
            return super().forward(*inputs)


def class_weights(corpus: Rows) -> dict[str, Tensor]:
    """Return weights of the classes of each head in inverse proportion to their mass, 1 on average over the rows.

    Parameters
    ----------
    corpus : Rows
        The training rows.

    Returns
    -------
    dict of str to torch.Tensor
        By head: float32 (classes,); 0 for a class that does not occur.
    """
    result = {}
    for head, target in corpus.targets.items():
        mass = target.sum(axis=0, dtype=np.float64)
        present = mass > 0
        weights = np.where(present, mass.sum() / (present.sum() * np.where(present, mass, 1)), 0.0)
        result[head] = torch.from_numpy(weights.astype(np.float32))
    return result


def _gathered(own: Any) -> list[Any]:
    """Return what every process has, in the order of the processes."""
    _, processes = place()
    if processes == 1:
        return [own]
    everyone: list[Any] = [None] * processes
    torch.distributed.all_gather_object(everyone, own)
    return everyone


def _smooth(target: Tensor, share: float) -> Tensor:
    """Spread a share of each row over all classes; rows of zeros stay so."""
    return (1 - share) * target + share / target.shape[1] * target.sum(dim=1, keepdim=True)


def _cross_entropy(logits: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
    """Mean over the whole batch, and over members where there are; rows whose target is all zero add nothing."""
    weighted = target if weights is None else target * weights.to(target.device)
    weighted = weighted if logits.ndim == 2 else weighted.unsqueeze(2)
    return -(weighted * logits.log_softmax(dim=1)).sum(dim=1).mean()
