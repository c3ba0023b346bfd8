from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.errors import InputError  # noqa: E402  - needs torch
from mien.training.nets import NETS, FaceNet, build  # noqa: E402
from mien.training.nets.base import Deployed, multiply_adds, parameters, standardise  # noqa: E402

HEADS = {"ferplus8": 8, "fer7": 7}
TINY = {"stem": 4, "widths": [8], "strides": [4], "dropout": 0.0}


def tiny(**more: object) -> FaceNet:
    torch.manual_seed(0)
    return build("face_resnet", HEADS, **{**TINY, **more})


def crops(n: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (n, 48, 48, 3), dtype=np.uint8))


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("n", [1, 3])
def test_every_net_answers_each_head(name: str, n: int) -> None:
    torch.manual_seed(0)
    net = build(name, HEADS, **TINY).eval()
    grey = torch.rand(n, 1, 48, 48) * 255
    with torch.no_grad():
        found = net(grey)
        maps = net.maps(standardise(grey))
    assert {head: tuple(v.shape) for head, v in found.items()} == {"ferplus8": (n, 8), "fer7": (n, 7)}
    assert all(v.dtype == torch.float32 for v in found.values())
    for head, values in found.items():
        torch.testing.assert_close(values, net.heads[head](maps.mean(dim=(2, 3))))


def test_strides_and_widths_give_the_last_map() -> None:
    net = tiny(widths=[6, 10, 12], strides=[2, 2, 1]).eval()
    with torch.no_grad():
        assert net.maps(torch.zeros(2, 1, 48, 48)).shape == (2, 12, 12, 12)


def test_a_few_steps_lower_the_loss() -> None:
    net = tiny()
    grey = torch.rand(14, 1, 48, 48) * 255
    truth = torch.arange(14) % 7
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(12):
        answers = net(grey)
        loss = sum(torch.nn.functional.cross_entropy(v, truth) for v in answers.values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())
    assert losses[-1] < losses[0] - 0.1


def test_costs_are_those_counted_by_hand() -> None:
    net = tiny()
    stem = 48 * 48 * 4 * 9
    conv1, conv2, skip = 12 * 12 * 8 * 4 * 9, 12 * 12 * 8 * 8 * 9, 12 * 12 * 8 * 4
    heads = 8 * 8 + 8 * 7
    assert multiply_adds(net) == stem + conv1 + conv2 + skip + heads
    weights = 4 * 9 + 8 * 4 * 9 + 8 * 8 * 9 + 8 * 4 + heads
    norms, biases = 2 * (4 + 8 + 8), 8 + 7
    assert parameters(net) == weights + norms + biases


def test_counting_leaves_the_net_as_it_was() -> None:
    net = tiny().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    multiply_adds(net)
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())


def test_a_block_that_changes_nothing_of_the_shape_has_no_skip_convolution() -> None:
    net = tiny(widths=[4, 4], strides=[1, 2])
    names = [name for name, _ in net.named_parameters() if "skip" in name]
    assert names == ["blocks.1.skip.weight"]


def test_standardising_is_its_closed_form() -> None:
    grey = torch.rand(4, 1, 48, 48) * 255
    found = standardise(grey).numpy()
    for one, own in zip(found, grey.numpy(), strict=True):
        np.testing.assert_allclose(one, (own - own.mean()) / (own.std() + 4), atol=1e-4)


def test_standardising_a_flat_picture_gives_zeros() -> None:
    assert torch.equal(standardise(torch.full((2, 1, 8, 8), 200.0)), torch.zeros(2, 1, 8, 8))


def test_brightness_does_not_change_the_answer() -> None:
    net = tiny().eval()
    grey = torch.rand(3, 1, 48, 48) * 100
    with torch.no_grad():
        plain, brighter = net(grey), net(grey + 60)
    for head in HEADS:
        torch.testing.assert_close(plain[head], brighter[head], atol=1e-3, rtol=0)


def test_deployed_takes_colour_and_answers_as_the_net_does() -> None:
    net = tiny().eval()
    pictures = crops(3)
    luma = (pictures.double() * torch.tensor([0.299, 0.587, 0.114]).double()).sum(dim=3).float()[:, None]
    with torch.no_grad():
        *logits, embedding, features = Deployed(net)(pictures)
        expected = net(luma)
    for head, found in zip(HEADS, logits, strict=True):
        torch.testing.assert_close(found, expected[head], atol=1e-4, rtol=0)
    assert features.shape == (3, 8, 12, 12)
    torch.testing.assert_close(embedding, features.mean(dim=(2, 3)))


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("vgg99", {}, "unknown net 'vgg99': expected one of face_resnet"),
        ("face_resnet", {"depth": 3}, "net 'face_resnet': .*unexpected keyword argument 'depth'"),
        ("face_resnet", {"widths": [8, 8]}, r"needs a stride for each width, but got \[8, 8\] and \[4\]"),
        ("face_resnet", {"widths": [], "strides": []}, "needs a stride for each width"),
        ("face_resnet", {"stem": "wide"}, "net 'face_resnet': "),
    ],
)
def test_wrong_nets_are_named(name: str, more: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(name, HEADS, **{**TINY, **more})
