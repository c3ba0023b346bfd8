"""Speech nets: front end against the numpy reference, masks, members, what they cost, and that their graphs agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.errors import InputError  # noqa: E402  - needs torch
from mien.models.runtime import Session  # noqa: E402
from mien.speech.features import MEL_CNN, Settings, log_mel, peak_normalized  # noqa: E402
from mien.train.export import PARITY, FrontEnd, deploy, export_graph, parity, round_weights  # noqa: E402
from mien.train.nets import NETWORKS, SpeechNetwork, build_network  # noqa: E402
from mien.train.nets.base import at_rms, count_multiply_adds, count_parameters, summary, under_peak  # noqa: E402
from mien.train.nets.campplus import _segments, translate  # noqa: E402
from mien.train.nets.speech_resnet import SpeechResNet  # noqa: E402

HEADS = {"ravdess8": 8}
SMALL: dict[str, dict[str, Any]] = {
    "mel_cnn": {"widths": (4, 8)},
    "speech_resnet": {"stem": 4, "widths": [8, 8], "strides": [[4, 4], [2, 2]], "members": 2, "dropout": 0.0},
    "campplus": {"blocks": 1, "dropout": 0.0},
}


def small(name: str, **more: Any) -> SpeechNetwork:
    torch.manual_seed(0)
    net = build_network(name, HEADS, **{**SMALL[name], **more}).eval()
    assert isinstance(net, SpeechNetwork)
    return net


def noise(seconds: float, rate_hz: int, level: float = 0.1) -> np.ndarray:
    n = round(seconds * rate_hz)
    return (level * np.random.default_rng(n).standard_normal(n)).astype(np.float32)


def test_every_speech_network_has_a_small_form() -> None:
    assert list(SMALL) == [name for name in NETWORKS if NETWORKS[name].kind == "audio"]


@pytest.mark.parametrize(
    "settings",
    [MEL_CNN, Settings(), Settings(n_fft=1024, hop=200, mels=80, low_hz=50.0), Settings(scale="htk", mels=40)],
)
@pytest.mark.parametrize("level", [1e-4, 0.1, 1.0])
def test_the_front_end_is_the_reference(settings: Settings, level: float) -> None:
    wave = noise(1.3, settings.rate_hz, level)
    found = FrontEnd(settings)(torch.from_numpy(wave)[None])[0].numpy()
    reference = log_mel(peak_normalized(wave), replace(settings, top_db=None))
    assert found.shape == reference.shape
    np.testing.assert_allclose(found, reference, atol=1e-4)


def test_silence_has_the_floor() -> None:
    assert FrontEnd(Settings())(torch.zeros(1, 8000)).unique().tolist() == [-100.0]


@pytest.mark.parametrize("level", [at_rms, under_peak])
def test_levels_do_not_tell_how_loud_a_recording_is(level: Any) -> None:
    db = torch.rand(2, 1, 6, 9) * 50 - 40
    mask = torch.ones(2, 9)
    torch.testing.assert_close(level(db - 17, mask), level(db, mask))
    torch.testing.assert_close(level(db), level(db, mask))


def test_levels_are_what_they_say() -> None:
    flat = torch.full((1, 1, 4, 5), -30.0)
    # All bands have the mean power: 10 dB under the mark of 2.
    torch.testing.assert_close(at_rms(flat), torch.full_like(flat, 1.5))
    torch.testing.assert_close(under_peak(flat), torch.full_like(flat, 2.0))
    loud = flat.clone()
    loud[0, 0, 0, 0] = 70.0
    assert under_peak(loud)[0, 0, 1, 1] == -2  # 100 dB under the peak: silence


@pytest.mark.parametrize("level", [at_rms, under_peak])
def test_padding_is_silence_and_changes_nothing(level: Any) -> None:
    db = torch.rand(1, 1, 6, 9) * 50 - 40
    padded = torch.nn.functional.pad(db, (0, 4), value=-3.0)
    mask = torch.cat([torch.ones(1, 9), torch.zeros(1, 4)], dim=1)
    torch.testing.assert_close(level(padded, mask)[..., :9], level(db))
    assert level(padded, mask)[..., 9:].unique().tolist() == [-2.0]


@pytest.mark.parametrize("recurrent", [0, 5])
def test_masked_steps_have_no_share_in_the_embedding(recurrent: int) -> None:
    net = small("speech_resnet", recurrent=recurrent)
    assert isinstance(net, SpeechResNet)
    values = torch.randn(1, 2 * recurrent or 8, 6)
    member = net.nets[0]
    inside = torch.tensor([[[1.0, 1, 1, 1, 0, 0]]])
    changed = values.clone()
    changed[..., 4:] = 1e3
    torch.testing.assert_close(member._pooled(changed, inside), member._pooled(values, inside))
    torch.testing.assert_close(member._pooled(values, inside), member._pooled(values[..., :4], None))


def test_logits_are_the_mean_of_the_members() -> None:
    net = small("speech_resnet", members=3)
    x, mask = torch.randn(2, 1, 64, 80), torch.ones(2, 80)
    each = net.training_logits(x, mask)["ravdess8"]
    assert each.shape == (2, 8, 3)
    torch.testing.assert_close(each.mean(dim=2), net(x, mask)["ravdess8"])
    assert each.std(dim=2).min() > 0


def test_a_member_learns_by_its_own_logits_alone() -> None:
    net = small("speech_resnet", members=2)
    assert isinstance(net, SpeechResNet)
    each = net.training_logits(torch.randn(2, 1, 64, 80), torch.ones(2, 80))["ravdess8"]
    each[..., 0].logsumexp(dim=1).sum().backward()
    moved = [sum(float(p.grad.abs().sum()) for p in part.parameters() if p.grad is not None) for part in net.nets]
    assert moved[0] > 0
    assert moved[1] == 0


@pytest.mark.parametrize("name", SMALL)
def test_a_step_lowers_the_loss(name: str) -> None:
    net = small(name).train()
    x, mask = torch.randn(4, 1, net.settings.mels, 64), torch.ones(4, 64)
    truth = torch.arange(4)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02)
    losses = []
    for _ in range(4):
        torch.manual_seed(0)  # the same channels are dropped
        loss = torch.nn.functional.cross_entropy(net(x, mask)["ravdess8"], truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", SMALL)
def test_network_and_graph_agree(name: str) -> None:
    net = round_weights(small(name))
    graph = export_graph(net)
    session = Session(graph, name=name, threads=1, device="cpu")
    assert session.input_names == ("wave",)
    assert session.output_names == ("logits_ravdess8", "embedding")
    rate_hz = net.settings.rate_hz
    waves = [noise(seconds, rate_hz) for seconds in (net.min_s, net.min_s + 0.013, 3 * net.min_s)]
    assert parity(deploy(net), session, [{"wave": wave[None]} for wave in [*waves, np.zeros_like(waves[0])]]) < PARITY
    with torch.no_grad():
        own = deploy(net)(torch.from_numpy(waves[0])[None])
    np.testing.assert_allclose(session.run({"wave": waves[0][None]})["embedding"], own[-1].numpy(), atol=PARITY)


def test_large_weights_are_stored_in_eight_bits_by_their_names() -> None:
    onnx = pytest.importorskip("onnx")
    net = build_network("speech_resnet", HEADS, members=1).eval()
    own = net.nets[0].blocks[1].conv1.weight.detach().numpy().copy()  # type: ignore[index,union-attr]
    round_weights(net)
    rounded = net.nets[0].blocks[1].conv1.weight.detach().numpy()  # type: ignore[index,union-attr]
    # Half a step of each output channel at most, and its largest weight stays.
    largest = np.abs(own).max(axis=(1, 2, 3), keepdims=True)
    assert np.all(np.abs(rounded - own) <= 1.001 * largest / 127 / 2)
    np.testing.assert_allclose(np.abs(rounded).max(axis=(1, 2, 3), keepdims=True), largest, rtol=1e-6)
    proto = onnx.load_from_string(export_graph(net))
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    name = "net.nets.0.blocks.1.conv1.weight"
    assert stored[name].dtype == np.int8
    np.testing.assert_allclose(stored[name] * stored[f"{name}.step"], rounded, rtol=1e-6)
    assert all(values.dtype == np.float32 for name, values in stored.items() if values.ndim == 1 and "net." in name)
    assert stored["front.filters"].dtype == np.float32
    operators = {node.op_type for node in proto.graph.node}
    assert not operators & {"STFT", "DFT"}


def test_published_weights_have_their_places_in_cam_plus_plus() -> None:
    net = small("campplus", blocks=2)
    state = {key: torch.full_like(value, number) for number, (key, value) in enumerate(net.state_dict().items())}
    named = {"front.conv1.weight": "head.conv1.weight", "tdnn.norm.weight": "xvector.tdnn.nonlinear.batchnorm.weight"}
    named["tdnn.linear.weight"] = "xvector.tdnn.linear.weight"
    named["blocks.0.0.norm1.bias"] = "xvector.block1.tdnnd1.nonlinear1.batchnorm.bias"
    named["blocks.1.23.local.weight"] = "xvector.block2.tdnnd24.cam_layer.linear_local.weight"
    named["blocks.1.0.context1.bias"] = "xvector.block2.tdnnd1.cam_layer.linear1.bias"
    named["transits.0.linear.weight"] = "xvector.transit1.linear.weight"
    named["norm.running_var"] = "xvector.transit2.nonlinear.batchnorm.running_var"
    published = {theirs: state[ours] for ours, theirs in named.items()}
    published["xvector.dense.linear.weight"] = torch.zeros(192, 1024, 1)
    found = translate(published, net)
    assert found is not None
    assert set(found) == set(named)
    assert all(torch.equal(found[ours], state[ours]) for ours in named)
    assert translate({"conv.weight": torch.zeros(1)}, net) is None


def test_frames_of_cam_plus_plus_see_the_mean_of_their_two_seconds() -> None:
    net = small("campplus")
    layer = net.blocks[0][0]  # type: ignore[index,union-attr]
    values = torch.randn(2, 128, 250, generator=torch.Generator().manual_seed(0))
    short = values[:1, :, :230]
    alone = torch.cat([layer(short, None, _segments(230, None, like=short)), torch.zeros(1, 32, 20)], dim=2)
    inside = (torch.arange(250) < 230).float()[None, None].expand(2, -1, -1)
    found = layer(values * inside, inside, _segments(250, inside, like=values))
    torch.testing.assert_close(found[:1, :, :229], alone[..., :229], atol=1e-5, rtol=1e-4)
    members = _segments(250, inside, like=values)
    assert members.shape == (2, 250, 3)
    assert members.sum(dim=1).tolist() == [[100, 100, 30]] * 2


@pytest.mark.parametrize("blocks", [0, 4])
def test_cam_plus_plus_has_three_blocks(blocks: int) -> None:
    with pytest.raises(InputError, match=f"1 to 3 blocks, but got {blocks}"):
        small("campplus", blocks=blocks)


@pytest.mark.parametrize(("name", "count"), [("mel_cnn", 65_896), ("speech_resnet", 764_272)])
def test_costs(name: str, count: int) -> None:
    net = build_network(name, HEADS)
    assert count_parameters(net) == count
    rows = summary(net)
    assert sum(row.parameters for row in rows) == count
    assert count_multiply_adds(net) == sum(row.multiply_adds for row in rows) > 5e7
    # A recurrent layer is counted once for every step.
    assert count_multiply_adds(small("speech_resnet", recurrent=4)) > count_multiply_adds(small("speech_resnet"))


def test_a_long_transform_is_computed_by_the_runtime_and_not_stored() -> None:
    net = small("speech_resnet", n_fft=2048)
    assert 2 * 1025 * 2048 * 4 > 16e6  # bytes of its kernel
    assert len(export_graph(net)) < 4 * count_parameters(net) + 4 * 64 * 1025 + 100_000


def test_mel_cnn_has_the_known_layers() -> None:
    net = build_network("mel_cnn", HEADS)
    assert (net.settings, net.frames) == (MEL_CNN, 272)
    assert not net.trim
    assert 1 + round(net.min_s * net.settings.rate_hz) // net.settings.hop == 272
    kinds = [type(layer).__name__ for layer in net.body]  # type: ignore[union-attr]
    pair = ["Conv2d", "LeakyReLU", "BatchNorm2d"] * 2
    assert kinds == [*pair, "MaxPool2d", "Dropout2d", *pair, "Dropout2d"]
    assert [layer.p for layer in net.body if isinstance(layer, torch.nn.Dropout2d)] == [0.07, 0.14]  # type: ignore[union-attr]
    assert [layer.out_channels for layer in net.body if isinstance(layer, torch.nn.Conv2d)] == [32, 32, 64, 64]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("speech_resnet", {"widths": [8]}, "needs strides for each width"),
        ("speech_resnet", {"members": 0}, "at least one member"),
        ("speech_resnet", {"n_fft": 511}, "n_fft must be even"),
        ("speech_resnet", {"layers": 3}, "network 'speech_resnet': .*layers"),
    ],
)
def test_wrong_options_raise(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_network(name, HEADS, **options)
