"""The training task as a Lightning module: two heads, soft labels, mixup, distillation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy

from mien.labels import FER7, FERPLUS8
from mien.training.data import Batch
from mien.training.nets import FaceNet, build
from mien.training.recipe import Recipe

__all__ = ["HEADS", "FaceTask"]

HEADS: dict[str, int] = {FERPLUS8.name: len(FERPLUS8), FER7.name: len(FER7)}


class FaceTask(pl.LightningModule):
    """Trains a face net on FER2013 labels and FER+ votes together.

    Parameters
    ----------
    recipe : Recipe
        Net, loss, optimiser.
    teachers : sequence of FaceNet
        Trained nets to learn from; they are kept out of the checkpoint.
    """

    def __init__(self, recipe: Recipe, *, teachers: Sequence[FaceNet] = ()) -> None:
        super().__init__()
        self.recipe = recipe
        self.net = build(recipe.net, HEADS, **recipe.net_options)
        # In a tuple, the teachers are no submodules: neither saved nor trained nor averaged.
        self._teachers = tuple(teacher.eval().requires_grad_(False) for teacher in teachers)
        self.scores = nn.ModuleDict(
            {
                f"{head}_{name}": metric
                for head, classes in HEADS.items()
                for name, metric in (
                    ("accuracy", MulticlassAccuracy(classes, average="micro", ignore_index=-1)),
                    ("uar", MulticlassAccuracy(classes, average="macro", ignore_index=-1)),
                )
            }
        )

    def forward(self, grey: Tensor) -> dict[str, Tensor]:
        """Return logits of each head, float32 (N, classes), of float (N, 1, S, S) in 0..255."""
        shaped = grey.contiguous(memory_format=torch.channels_last)
        return {head: logits.float() for head, logits in self.net(shaped).items()}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        grey, targets = batch.grey, _targets(batch, self.recipe.loss.label_smoothing)
        if self.recipe.loss.mixup > 0:
            grey, targets = self._mixed(grey, targets)
        targets = self._with_teachers(grey, targets)
        loss = self._loss(self(grey), targets)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(grey))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the metrics of the epoch."""
        logits = self(batch.grey)
        loss = self._loss(logits, _targets(batch, 0.0))
        self.log("val_loss", loss, on_epoch=True, batch_size=len(batch.grey))
        for head, truth in ((FERPLUS8.name, batch.majority), (FER7.name, batch.fer7)):
            for name in ("accuracy", "uar"):
                metric = self._metric(head, name)
                metric.update(logits[head], truth)
                self.log(f"val_{head}_{name}", metric, on_epoch=True, batch_size=len(batch.grey))

    def on_validation_epoch_end(self) -> None:
        """Log the score that chooses the checkpoint: the mean accuracy of the two heads."""
        values = [self._metric(head, "accuracy").compute() for head in HEADS]
        self.log("val_score", torch.stack(values).mean())

    def _metric(self, head: str, name: str) -> MulticlassAccuracy:
        metric = self.scores[f"{head}_{name}"]
        assert isinstance(metric, MulticlassAccuracy)
        return metric

    def configure_optimizers(self) -> Any:
        """Return SGD with Nesterov momentum and its schedule, which moves at every step."""
        options = self.recipe.optimiser
        decayed = [p for p in self.net.parameters() if p.ndim > 1]
        others = [p for p in self.net.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": options.weight_decay}, {"params": others, "weight_decay": 0.0}]
        optimiser = torch.optim.SGD(groups, lr=options.rate, momentum=options.momentum, nesterov=True)
        total = int(self.trainer.estimated_stepping_batches)
        rise = max(round(total * options.warmup_epochs / self.recipe.epochs), 1)

        def factor(step: int) -> float:
            if step < rise:
                return (step + 1) / rise
            return 0.5 * (1 + math.cos(math.pi * min((step - rise) / max(total - rise, 1), 1.0)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _mixed(self, grey: Tensor, targets: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        alpha = self.recipe.loss.mixup
        shape = (len(grey),)
        # A generator of its own: seed and step number fix it, also after a resumption.  The CPU's generator sees
        # the low 32 bits of its seed alone, so the two are hashed together.
        state = np.random.SeedSequence((self.recipe.seed, self.global_step)).generate_state(1, np.uint32)
        generator = torch.Generator().manual_seed(int(state[0]))
        beta = torch._sample_dirichlet(torch.full((*shape, 2), alpha), generator)[:, 0]
        share = torch.maximum(beta, 1 - beta).to(grey.device)
        partner = torch.randperm(len(grey), generator=generator).to(grey.device)
        blend = share.view(-1, 1, 1, 1)
        mixed = blend * grey + (1 - blend) * grey[partner]
        rows = share.view(-1, 1)
        return mixed, {head: rows * t + (1 - rows) * t[partner] for head, t in targets.items()}

    def _with_teachers(self, grey: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        if not self._teachers:
            return targets
        options = self.recipe.distillation
        with torch.no_grad():
            shaped = grey.contiguous(memory_format=torch.channels_last)
            answers = [teacher.to(grey.device)(shaped) for teacher in self._teachers]
        blended = {}
        for head, target in targets.items():
            probabilities = [(answer[head].float() / options.temperature).softmax(1) for answer in answers]
            wise = torch.stack(probabilities).mean(0)
            # Where nobody voted, the teachers alone speak.
            mass = target.sum(1, keepdim=True)
            blended[head] = options.weight * wise + (1 - options.weight) * torch.where(mass > 0, target, wise)
        return blended

    def _loss(self, logits: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        weights = {FER7.name: self.recipe.loss.fer7, FERPLUS8.name: self.recipe.loss.ferplus8}
        parts = [weight * _cross_entropy(logits[head], targets[head]) for head, weight in weights.items()]
        return torch.stack(parts).sum()


def _targets(batch: Batch, smoothing: float) -> dict[str, Tensor]:
    hard = nnf.one_hot(batch.fer7, len(FER7)).to(torch.float32)
    return {FER7.name: (1 - smoothing) * hard + smoothing / len(FER7), FERPLUS8.name: batch.ferplus8}


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over the whole batch; rows whose target is all zero add nothing."""
    return -(target * logits.log_softmax(dim=1)).sum(dim=1).mean()
