from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from mien.errors import InputError  # noqa: E402
from mien.train.data import Batch  # noqa: E402
from mien.train.nets import FaceNetwork, build_network  # noqa: E402
from mien.train.recipe import Distillation, Loss, Recipe  # noqa: E402
from mien.train.task import EmotionTask  # noqa: E402

HEADS = {"ferplus8": 8, "fer7": 7}
NET = {"stem": 4, "widths": [8], "strides": [4], "dropout": 0.0}


def batch(n: int = 6) -> Batch:
    generator = np.random.default_rng(0)
    votes = generator.dirichlet(np.ones(8), n).astype(np.float32)
    votes[2] = 0  # nobody voted
    gray = torch.from_numpy(generator.uniform(0, 255, (n, 1, 48, 48)).astype(np.float32))
    majority = torch.from_numpy(np.where(votes.sum(1) > 0, votes.argmax(1), -1))
    targets = {"ferplus8": torch.from_numpy(votes), "fer7": torch.eye(7)[torch.arange(n) % 7]}
    return Batch((gray,), targets, {"ferplus8": majority, "fer7": torch.arange(n) % 7})


def net(seed: int) -> FaceNetwork:
    torch.manual_seed(seed)
    return build_network("face_resnet", HEADS, **NET)


def task(recipe: Any = None, **parts: Any) -> EmotionTask:
    own = {name: parts.pop(name) for name in ("teachers", "weights") if name in parts}
    recipe = replace(recipe or Recipe(name="tiny", net_options=NET), **parts)
    return EmotionTask(recipe, net(0), voted=("ferplus8",), **own)


def loss_of(own: EmotionTask, data: Batch, monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(own, "log", lambda *a, **k: None)
    return float(own.eval().training_step(data, 0).detach())


def cross_entropy(logits: torch.Tensor, target: np.ndarray) -> float:
    values = logits.detach().double().numpy()
    logs = values - np.log(np.exp(values).sum(1, keepdims=True))
    return float(-(target * logs).sum(1).mean())


def test_the_loss_is_its_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    data = batch()
    own = task(loss=Loss(fer7=0.5, ferplus8=2.0, label_smoothing=0.14))
    with torch.no_grad():
        logits = own.eval()(data.inputs[0])
    smoothed = 0.86 * np.eye(7)[data.truth["fer7"].numpy()] + 0.02
    expected = 0.5 * cross_entropy(logits["fer7"], smoothed)
    # The image without votes adds nothing; the mean is over the whole batch.
    expected += 2.0 * cross_entropy(logits["ferplus8"], data.targets["ferplus8"].double().numpy())
    assert loss_of(own, data, monkeypatch) == pytest.approx(expected, rel=1e-4)


def test_teachers_have_their_weight_in_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    data, teachers = batch(), [net(1), net(2)]
    options = Distillation(teachers=("a", "b"), weight=0.4, temperature=2.0)
    own = task(loss=Loss(label_smoothing=0.0), distillation=options, teachers=teachers)
    with torch.no_grad():
        logits = own.eval()(data.inputs[0])
        answers = [teacher(data.inputs[0]) for teacher in teachers]
    expected = 0.0
    for head, labels in (
        ("fer7", np.eye(7)[data.truth["fer7"].numpy()]),
        ("ferplus8", data.targets["ferplus8"].double().numpy()),
    ):
        wise = np.mean([(answer[head] / 2.0).softmax(1).double().numpy() for answer in answers], axis=0)
        known = labels.sum(1, keepdims=True) > 0
        expected += cross_entropy(logits[head], 0.4 * wise + 0.6 * np.where(known, labels, wise))
    assert loss_of(own, data, monkeypatch) == pytest.approx(expected, rel=1e-4)


def test_teachers_are_not_saved_and_not_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = net(1).train()
    own = task(teachers=[teacher])
    assert set(own.state_dict()) == set(task().state_dict())
    assert not teacher.training
    monkeypatch.setattr(own, "log", lambda *a, **k: None)
    own.training_step(batch(), 0).backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert all(p.grad is not None for p in own.net.parameters())


def test_mixing_blends_images_and_labels_alike() -> None:
    own = task(loss=Loss(mixup=0.4))
    n = 8
    # Image i is flat at 10 i and its label is i: the blend of images must be the blend of labels.
    gray = (10.0 * torch.arange(n)).view(n, 1, 1, 1).expand(n, 1, 48, 48)
    (mixed,), targets = own._mixed((gray,), {"own": torch.eye(n)})
    (again,), _ = own._mixed((gray,), {"own": torch.eye(n)})
    assert torch.equal(mixed, again)  # the step number decides
    torch.testing.assert_close(targets["own"].sum(1), torch.ones(n))
    levels = targets["own"] @ (10.0 * torch.arange(n))
    torch.testing.assert_close(mixed[:, 0, 0, 0], levels)
    # The image itself always has the larger share.
    assert bool((targets["own"].diagonal() >= 0.5 - 1e-6).all())
    assert bool((targets["own"].diagonal() < 1 - 1e-6).any())


def test_the_seed_changes_the_mixing() -> None:
    gray = torch.rand(8, 1, 48, 48)
    one, two = (task(loss=Loss(mixup=0.4), seed=seed)._mixed((gray,), {})[0][0] for seed in (1, 2))
    assert not torch.equal(one, two)


def test_class_weights_scale_each_row_by_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    data = batch()
    weights = np.array([2.0, 0.5, 1.0, 1.0, 0.0, 3.0, 1.0], np.float32)
    own = task(loss=Loss(ferplus8=0.0, label_smoothing=0.0), weights={"fer7": weights})
    with torch.no_grad():
        logits = own.eval()(data.inputs[0])
    expected = torch.nn.functional.cross_entropy(
        logits["fer7"], data.truth["fer7"], torch.from_numpy(weights), reduction="none"
    ).mean()
    assert loss_of(own, data, monkeypatch) == pytest.approx(float(expected), rel=1e-4)


def test_a_loss_that_is_not_finite_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    own = task()
    with torch.no_grad():
        own.net.heads["fer7"].bias.fill_(float("nan"))
    with pytest.raises(InputError, match=r"training diverged at step 0: the loss is nan; lower optimizer\.rate"):
        loss_of(own, batch(), monkeypatch)
