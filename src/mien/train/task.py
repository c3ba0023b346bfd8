"""The training task as a Lightning module: any network and heads, soft labels, mixup, distillation, metrics."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mien import metrics
from mien.errors import InputError
from mien.train.data import Batch, hash_seed, rank_and_size
from mien.train.init import freeze
from mien.train.nets import EmotionNetwork
from mien.train.recipe import Recipe

__all__ = ["EmotionTask", "Predicted"]


class Predicted(NamedTuple):
    """Predictions for rows with their labels: truth int64 (n,) and probabilities float32 (n, classes)."""

    truth: NDArray[np.int64]
    probabilities: NDArray[np.float32]


class EmotionTask(pl.LightningModule):
    """Trains a network on the labels of one or several heads together.

    Parameters
    ----------
    recipe : Recipe
        Loss and optimizer.
    net : EmotionNetwork
        Takes the inputs of a batch and returns logits by head.
    voted : sequence of str
        Heads whose targets are distributions of votes: they are not smoothed.
    weights : mapping of str to numpy.ndarray
        By head: float32 (classes,), weights of the classes in the loss; a head without any has equal ones.
    teachers : sequence of torch.nn.Module
        Trained networks to learn from; they are kept out of the checkpoint.
    """

    def __init__(
        self,
        recipe: Recipe,
        net: EmotionNetwork,
        *,
        voted: Sequence[str] = (),
        weights: Mapping[str, NDArray[np.float32]] | None = None,
        teachers: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__()
        self.recipe, self.heads, self.voted = recipe, tuple(net.heads), tuple(voted)
        self.net = net
        # In plain containers these are no submodules: neither saved nor trained nor averaged.
        self._teachers = tuple(teacher.eval().requires_grad_(False) for teacher in teachers)
        self._weights = {head: torch.from_numpy(values) for head, values in (weights or {}).items()}
        self._predicted: dict[str, dict[str, list[Predicted]]] = {"train": {}, "val": {}}
        self._losses: list[tuple[float, int]] = []

    def freeze_parts(self) -> list[str]:
        """Freeze what the recipe names, and return the names of those parameters."""
        return freeze(self.net, self.recipe.freeze) if self.recipe.freeze else []

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Return logits of each head, float32 (N, classes); in training maybe those of members, a third axis."""
        compute = self.net.training_logits if self.training else self.net
        device = inputs[0].device.type
        with contextlib.nullcontext() if self.net.has_autocast else torch.autocast(device, enabled=False):
            return {head: logits.float() for head, logits in compute(*self._lay_out(*inputs)).items()}

    def _lay_out(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        first, *others = inputs
        return (first.contiguous(memory_format=self.net.choose_layout()), *others)

    def on_train_epoch_start(self) -> None:
        """Forget the predictions of the epoch before."""
        self._predicted["train"].clear()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        # Dropout must not depend on what came before in this process, so that a resumed run is the uninterrupted one.
        torch.manual_seed(hash_seed(self.recipe.seed, self.current_epoch, batch_idx, rank_and_size()[0]))
        inputs, targets = batch.inputs, self._smoothed(batch.targets)
        if self.recipe.loss.mixup > 0:
            inputs, targets = self._mixed(inputs, targets)
        targets = self._with_teachers(inputs, targets)
        logits = self(*inputs)
        loss = self._loss(logits, targets)
        if not loss.isfinite():
            raise InputError(
                f"training diverged at step {self.global_step}: the loss is {loss.item()}; lower optimizer.rate"
            )
        sync = rank_and_size()[1] > 1
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(inputs[0]), sync_dist=sync)
        self._collect("train", logits, batch.truth)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget the predictions of the epoch before."""
        self._predicted["val"].clear()
        self._losses.clear()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the metrics of the epoch."""
        logits = self(*batch.inputs)
        self._losses.append((float(self._loss(logits, batch.targets)), len(batch.inputs[0])))
        self._collect("val", logits, batch.truth)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics, and the score that chooses the checkpoint."""
        losses = [pair for part in _gather(self._losses) for pair in part]
        total = sum(n for _, n in losses)
        self._log("val_loss", sum(loss * n for loss, n in losses) / max(total, 1))
        scores = self._log_scores("val")
        self._log("val_score", sum(scores) / max(len(scores), 1))
        # The training batches of the epoch have passed by now; Lightning asks the module for its own end of the epoch
        # only after the history is written.  They are measured as augmented, and while the network was learning.
        if self._predicted["train"]:
            self._log_scores("train")

    def _collect(self, stage: str, logits: dict[str, Tensor], truth: dict[str, Tensor]) -> None:
        for head, values in logits.items():
            shares = values.detach().softmax(dim=1)
            probabilities = (shares if shares.ndim == 2 else shares.mean(dim=2)).cpu().numpy()
            self._predicted[stage].setdefault(head, []).append(Predicted(truth[head].cpu().numpy(), probabilities))

    def predictions(self, stage: str) -> dict[str, Predicted]:
        """Return, by head, the predictions of the last epoch for the rows of ``train`` or ``val``."""
        parts = _gather(self._predicted[stage])
        result = {}
        for head in self.heads:
            truth, probabilities = zip(*(pair for part in parts for pair in part.get(head, [])), strict=True)
            result[head] = Predicted(np.concatenate(truth), np.concatenate(probabilities))
        return result

    def _log_scores(self, stage: str) -> list[float]:
        chosen = []
        for head, (truth, probabilities) in self.predictions(stage).items():
            if not (truth >= 0).any():
                continue
            scores = metrics.scores(truth, probabilities)
            for name, value in scores.items():
                self._log(f"{stage}_{head}_{name}", value)
            chosen.append(scores[self.net.metric])
        return chosen

    def _log(self, name: str, value: float) -> None:
        # Every process has gathered the same rows, so there is nothing left to reduce.
        self.log(name, float(value), rank_zero_only=False, sync_dist=False)

    def configure_optimizers(self) -> Any:
        """Return the optimizer and its schedule."""
        options = self.recipe.optimizer
        learning = [p for p in self.net.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in learning if p.ndim > 1], "weight_decay": options.weight_decay},
            {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
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
        return [optimizer], [{"scheduler": self._step_schedule(optimizer), "interval": "step"}]

    def _step_schedule(self, optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LambdaLR:
        options = self.recipe.optimizer
        total = int(self.trainer.estimated_stepping_batches)
        warmup = max(round(total * options.warmup_epochs / self.recipe.epochs), 1)

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            if options.schedule == "constant":
                return 1.0
            return 0.5 * (1 + math.cos(math.pi * min((step - warmup) / max(total - warmup, 1), 1.0)))

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
        # A generator of its own: seed and step number fix it, also after a resumption.  The CPU's generator uses the
        # low 32 bits of its seed alone, so the parts are hashed together.
        parts = (self.recipe.seed, self.global_step, rank_and_size()[0])
        seed = np.random.SeedSequence(parts).generate_state(1, np.uint32)[0]
        generator = torch.Generator().manual_seed(int(seed))
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
            outputs = [teacher.to(inputs[0].device)(*self._lay_out(*inputs)) for teacher in self._teachers]
        blended = {}
        for head, target in targets.items():
            probabilities = [(logits[head].float() / options.temperature).softmax(1) for logits in outputs]
            taught = torch.stack(probabilities).mean(0)
            # Where nobody voted, the teachers' probabilities are the target.
            mass = target.sum(1, keepdim=True)
            blended[head] = options.weight * taught + (1 - options.weight) * torch.where(mass > 0, target, taught)
        return blended

    def _loss(self, logits: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        parts = [
            float(getattr(self.recipe.loss, head, 1.0)) * _cross_entropy(logits[head], target, self._weights.get(head))
            for head, target in targets.items()
        ]
        return torch.stack(parts).sum()


def _gather(own: Any) -> list[Any]:
    """Return what every process has, in the order of the processes."""
    _, processes = rank_and_size()
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
