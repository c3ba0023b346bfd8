from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402  - needs the extra train

from mien.errors import InputError  # noqa: E402
from mien.models.runtime import Session  # noqa: E402
from mien.train.export import PARITY, DeployedVideo, deploy, export_graph, parity  # noqa: E402
from mien.train.nets import NETWORKS, build_network  # noqa: E402
from mien.train.nets.base import (  # noqa: E402
    count_multiply_adds,
    count_parameters,
    frames_first,
    repeat_frames,
    summary,
)
from mien.train.nets.c3d import C3D  # noqa: E402
from mien.train.nets.cnn_lstm import CNNLSTM  # noqa: E402
from mien.train.nets.hybrid import best_shares, blend  # noqa: E402
from mien.train.nets.temporal import POOLS, Temporal  # noqa: E402

T, ANSWERS, EMBEDDING, SIZE = 8, 5, 7, 16
HEADS = {"baum8": 8}
OPTIONS: dict[str, dict[str, Any]] = {
    "temporal": {"pools": POOLS, "width": 3, "frames": T, "answers": ANSWERS, "embedding": EMBEDDING},
    "cnn_lstm": {"dense": 6, "recurrent": 4, "frames": T, "answers": ANSWERS, "embedding": EMBEDDING},
    "c3d": {"widths": [3, 4], "dense": 5, "frames": T, "size": SIZE},
}
LENGTHS = (8, 1, 3, 5)


def clips(seed: int = 0) -> tuple[Any, Any, Any]:
    """Four clips of 8, 1, 3 and 5 frames; what lies behind their last frame is noise."""
    generator = torch.Generator().manual_seed(seed)
    images = 255 * torch.rand(len(LENGTHS), 1, T, SIZE, SIZE, generator=generator)
    features = torch.rand(len(LENGTHS), T, ANSWERS + EMBEDDING, generator=generator)
    mask = (torch.arange(T)[None] < torch.tensor(LENGTHS)[:, None]).float()
    return images, features, mask


def made(name: str) -> Any:
    torch.manual_seed(1)
    net = build_network(name, HEADS, **OPTIONS[name]).eval()
    for head in net.heads.values():
        nn.init.normal_(head.weight)
    return net


def test_every_network_for_clips_has_a_small_form() -> None:
    assert set(OPTIONS) == {name for name in NETWORKS if NETWORKS[name].kind == "video"}


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("name", [*OPTIONS, "hybrid"])
def test_network_and_graph_agree(name: str, engine: str) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip(engine)
    names = ["cnn_lstm", "c3d"] if name == "hybrid" else [name]
    nets = [made(own) for own in names]
    deployed = DeployedVideo(nets, (0.3, 0.7)).eval() if name == "hybrid" else deploy(nets[0])
    session = Session(export_graph(deployed), name=name, threads=1, device="cpu", engine=engine)
    assert session.input_names == tuple(deployed.example())
    images, features, mask = clips()
    crops = np.repeat(images.round().byte().permute(0, 2, 3, 4, 1).numpy(), 3, axis=4)
    every = {"crops": crops, "features": features.numpy(), "mask": mask.numpy()}
    feeds = [{key: every[key][row : row + 1] for key in session.input_names} for row in range(len(LENGTHS))]
    assert parity(deployed, session, feeds) < PARITY
    gray = torch.from_numpy(crops[..., 0]).float().unsqueeze(1)
    with torch.no_grad():
        shares = [net(gray, features, mask)["baum8"].softmax(1) for net in nets]
    expected = 0.3 * shares[0] + 0.7 * shares[1] if name == "hybrid" else shares[0]
    logits = np.concatenate([session.run(feed)["logits_baum8"] for feed in feeds])
    np.testing.assert_allclose(torch.from_numpy(logits).softmax(1).numpy(), expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("name", OPTIONS)
def test_what_lies_behind_the_last_frame_changes_nothing(name: str) -> None:
    net = made(name)
    images, features, mask = clips()
    answers = net(images, features, mask)["baum8"]
    other_images, other_features, _ = clips(seed=1)
    inside = mask.bool()
    images = torch.where(inside[:, None, :, None, None], images, other_images)
    features = torch.where(inside[:, :, None], features, other_features)
    torch.testing.assert_close(net(images, features, mask)["baum8"], answers)
    assert answers.shape == (4, 8)
    assert len({tuple(row) for row in answers.round(decimals=4).tolist()}) == 4


@pytest.mark.parametrize("name", OPTIONS)
def test_a_frame_left_out_is_a_frame_that_was_never_there(name: str) -> None:
    net = made(name)
    images, features, _ = clips()
    kept = [0, 2, 3, 6]
    mask = torch.zeros(4, T)
    mask[:, kept] = 1
    front = torch.zeros(4, T)
    front[:, : len(kept)] = 1
    moved = [torch.zeros_like(images), torch.zeros_like(features)]
    moved[0][:, :, : len(kept)] = images[:, :, kept]
    moved[1][:, : len(kept)] = features[:, kept]
    torch.testing.assert_close(net(*moved, front)["baum8"], net(images, features, mask)["baum8"])


@pytest.mark.parametrize("name", OPTIONS)
def test_every_weight_learns(name: str) -> None:
    net = made(name).train()
    images, features, mask = clips()
    net.set_statistics(features, mask)
    net(images, features, mask)["baum8"].logsumexp(dim=1).sum().backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert bool(parameter.grad.isfinite().all()), key
        assert bool((parameter.grad != 0).any()) or key == "attention.bias", key  # a softmax does not see its bias


@pytest.mark.parametrize("name", OPTIONS)
def test_the_example_fits(name: str) -> None:
    net = made(name)
    assert net(*net.example())["baum8"].shape == (1, 8)
    assert count_multiply_adds(net) > 0
    assert count_parameters(net) == sum(p.numel() for p in net.parameters())


def test_frames_move_to_the_front_in_their_order() -> None:
    values = torch.arange(10.0).reshape(2, 5, 1)
    front, lengths = frames_first(values, torch.tensor([[0, 1, 0, 1, 1], [1, 0, 0, 0, 0]]).float())
    assert front[0, :3, 0].tolist() == [1, 3, 4]
    assert front[1, 0, 0] == 5
    assert lengths.tolist() == [3, 1]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_a_short_clip_is_stretched_evenly(count: int) -> None:
    values = torch.arange(8.0).reshape(1, 8, 1)
    found = repeat_frames(values, (torch.arange(8)[None] < count).float())[0, :, 0].long().numpy()
    assert found.tolist() == sorted(found.tolist())
    times = np.bincount(found, minlength=count)
    assert len(times) == count
    assert times.max() - times.min() <= 1


def test_pools_are_those_of_each_clip_alone() -> None:
    net = made("temporal")
    _, features, mask = clips()
    found = net.pooled(features, mask)[:, : len(POOLS) * ANSWERS].detach().numpy()
    for row, length in enumerate(LENGTHS):
        shares = features[row, :length, :ANSWERS].numpy()
        most = -(-length // 4)
        third = -(-length // 3)
        expected = {
            "mean": shares.mean(axis=0),
            "top": np.sort(shares, axis=0)[-most:].mean(axis=0),
            "deviation": np.maximum(shares.std(axis=0), 1e-3),
            "change": shares[-third:].mean(axis=0) - shares[:third].mean(axis=0),
            "attention": shares.mean(axis=0),  # before it has learned anything, it attends to all frames alike
        }
        np.testing.assert_allclose(found[row], np.concatenate([expected[name] for name in POOLS]), atol=1e-6)


def test_statistics_are_standardized_by_the_training_clips() -> None:
    net = Temporal(heads=HEADS, pools=["mean"], frames=T, answers=ANSWERS, embedding=EMBEDDING)
    _, features, mask = clips()
    net.set_statistics(features, mask)
    level = net.embed(torch.zeros(4, 1, T, 0, 0), features, mask)
    torch.testing.assert_close(level.mean(dim=0), torch.zeros(ANSWERS), atol=1e-5, rtol=0)
    pooled = net.pooled(features, mask).std(dim=0, correction=0)
    torch.testing.assert_close(level.std(dim=0, correction=0), (pooled / pooled.clamp(min=0.05)))


def test_the_lstm_is_that_of_packed_clips() -> None:
    net = made("cnn_lstm")
    assert isinstance(net, CNNLSTM)
    _, features, mask = clips()
    dense = torch.relu(net.dense(features[..., ANSWERS:]))
    packed = nn.utils.rnn.pack_padded_sequence(dense, list(LENGTHS), batch_first=True, enforce_sorted=False)
    _, (state, _) = net.recurrent(packed)
    torch.testing.assert_close(net.embed(torch.zeros(0), features, mask), state[0])


def test_c3d_depends_on_motion_and_not_on_light() -> None:
    net = made("c3d")
    images, features, mask = clips()
    answers = net(images, features, mask)["baum8"]
    torch.testing.assert_close(net(0.5 * images + 40, features, mask)["baum8"], answers, atol=1e-3, rtol=1e-3)
    assert not torch.allclose(net(images.flip(2), features, torch.ones(4, T))["baum8"], answers, atol=1e-2)


def test_costs_are_counted_over_time() -> None:
    layers = {layer.name: layer.multiply_adds for layer in summary(made("c3d"))}
    assert layers["body.0"] == 3 * T * 8 * 8 * 27
    assert layers["body.4"] == 4 * T * 4 * 4 * 3 * 27
    layers = {layer.name: layer.multiply_adds for layer in summary(made("cnn_lstm"))}
    assert layers["recurrent"] == T * 4 * 4 * (6 + 4)


def test_scores_add_by_their_shares() -> None:
    first = np.array([[0.9, 0.1], [0.2, 0.8]], dtype=np.float32)
    second = np.array([[0.5, 0.5], [0.6, 0.4]], dtype=np.float32)
    np.testing.assert_allclose(blend([first, second], (3, 1)), 0.75 * first + 0.25 * second, atol=1e-7)
    with pytest.raises(InputError, match=r"2 networks need as many shares, not below 0 nor all 0, but got \[0, 0\]"):
        blend([first, second], (0, 0))


def test_the_network_that_is_right_gets_the_share() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 200)
    knows = np.full((200, 4), 0.1, np.float32)
    knows[np.arange(200), truth] = 0.7
    guesses = rng.dirichlet(np.ones(4), 200).astype(np.float32)
    assert best_shares([{"x": knows}, {"x": guesses}], {"x": truth}) == (1.0, 0.0)
    assert best_shares([{"x": guesses}, {"x": knows}], {"x": truth}) == (0.0, 1.0)
    assert best_shares([{"x": knows}, {"x": knows}], {"x": truth}) == (0.5, 0.5)
    assert best_shares([{"x": knows}], {"x": truth}) == (1.0,)


def test_shares_are_those_of_the_least_loss() -> None:
    rng = np.random.default_rng(1)
    truth = np.concatenate([rng.integers(0, 3, 150), [-1]])
    parts = [rng.dirichlet(np.ones(3), 151).astype(np.float32) for _ in range(2)]
    for part in parts:
        part[np.arange(75), truth[:75]] += rng.uniform(0, 2)
        part /= part.sum(axis=1, keepdims=True)

    def loss(share: float) -> float:
        p = share * parts[0] + (1 - share) * parts[1]
        return float(-np.log(p[np.arange(150), truth[:150]]).mean())

    shares = best_shares([{"x": part} for part in parts], {"x": truth})
    assert loss(shares[0]) == pytest.approx(min(loss(tenth / 10) for tenth in range(11)), abs=1e-6)


def test_wrong_options_are_named() -> None:
    with pytest.raises(InputError, match=r"pools must be some of mean, top, .*, but got median"):
        build_network("temporal", HEADS, pools=["mean", "median"])
    with pytest.raises(InputError, match=r"pools must be some of .*, but got none"):
        build_network("temporal", HEADS, pools=[])
    with pytest.raises(InputError, match="5 widths are too many for 8 frames of 16 pixels"):
        C3D(heads=HEADS, widths=[2] * 5, frames=8, size=16)
    with pytest.raises(InputError, match=r"network 'c3d': .*pools"):
        build_network("c3d", HEADS, pools=["mean"])
