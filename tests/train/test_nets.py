"""Every net: what it answers, that it learns, what it costs, and that its graph says the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.errors import InputError  # noqa: E402  - needs torch
from mien.train.export import DeployedFace, deploy, export_graph, parity  # noqa: E402
from mien.train.nets import NETWORKS, FaceNetwork, build_network  # noqa: E402
from mien.train.nets.base import count_multiply_adds, count_parameters, standardize, summary  # noqa: E402
from mien.train.nets.vgg16 import INPUTS  # noqa: E402

HEADS = {"ferplus8": 8, "fer7": 7}
FACES = [name for name in NETWORKS if NETWORKS[name].kind == "image"]
SPEECH = [name for name in NETWORKS if NETWORKS[name].kind == "audio"]
TINY = {"stem": 4, "widths": [8], "strides": [4], "dropout": 0.0}

# Small forms of each net, so that steps and exports take no time; without dropout, so that a loss must fall.
SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"widths": [32, 16], "dropout": 0.0},
    "cnn": {"widths": [4, 8, 8], "dense": 16, "dropout": 0.0},
    "vgg16": {"dense": 16, "dropout": 0.0, "size": 32, "batch_norm": True},
    "dexpression": {"dropout": 0.0},
    "mini_xception": {"stem": 4, "widths": [8, 8]},
    "face_resnet": TINY,
    "dlib_resnet": {"dropout": 0.0, "size": 104},
}


def tiny(**more: object) -> FaceNetwork:
    torch.manual_seed(0)
    return build_network("face_resnet", HEADS, **{**TINY, **more})


def small(name: str) -> FaceNetwork:
    torch.manual_seed(0)
    return build_network(name, HEADS, **SMALL[name])


def crops(n: int, size: int = 48) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (n, size, size, 3), dtype=np.uint8))


def test_every_face_network_has_a_small_form() -> None:
    assert list(SMALL) == FACES


def test_gradients_of_narrow_networks_stay_in_their_memory() -> None:
    """On processors with AVX2 alone, oneDNN's gradients of narrow 1 x 1 convolutions overrun it in channels_last."""
    narrow, wide = (build_network("face_resnet", HEADS, stem=stem, widths=[8], strides=[4]) for stem in (4, 8))
    assert narrow.choose_layout() == torch.contiguous_format
    assert wide.choose_layout() == torch.channels_last
    for net in (narrow, wide):
        net = net.to(memory_format=net.choose_layout())
        for _ in range(5):
            gray = (torch.rand(16, 1, 48, 48) * 255).contiguous(memory_format=net.choose_layout())
            sum(logits.square().mean() for logits in net(gray).values()).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("name", FACES)
def test_every_network_has_logits_for_each_head(name: str) -> None:
    net = small(name).eval()
    for n in (1, 3):
        gray = torch.rand(n, 1, net.size, net.size) * 255
        with torch.no_grad():
            found = net(gray)
            features = net.maps(net.prepare(gray))
            logits, embedding = net.classify(features)
        assert {head: tuple(v.shape) for head, v in found.items()} == {"ferplus8": (n, 8), "fer7": (n, 7)}
        assert features.ndim == 4
        assert embedding.ndim == 2
        for head, values in found.items():
            assert values.dtype == torch.float32
            torch.testing.assert_close(values, logits[head])


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("mlp", {}, (128, 1, 1)),
        ("cnn", {}, (128, 6, 6)),
        ("vgg16", {}, (512, 3, 3)),
        ("dexpression", {}, (272, 6, 6)),
        ("dexpression", {"size": 224}, (272, 14, 14)),
        ("mini_xception", {}, (128, 3, 3)),
        ("mini_xception", {"size": 64}, (128, 4, 4)),
        ("face_resnet", {}, (256, 6, 6)),
        ("face_resnet", {**TINY, "widths": [6, 10, 12], "strides": [2, 2, 1]}, (12, 12, 12)),
        ("face_resnet", {**TINY, "widths": [6, 12], "strides": [2, 2], "inner": [3, 20]}, (12, 12, 12)),
    ],
)
def test_the_last_map_has_the_shape_of_the_papers(
    name: str, options: dict[str, Any], shape: tuple[int, int, int]
) -> None:
    net = build_network(name, {"fer7": 7}, **options).eval()
    with torch.no_grad():
        assert net.maps(net.prepare(torch.zeros(1, 1, net.size, net.size))).shape == (1, *shape)


@pytest.mark.parametrize("name", FACES)
def test_a_few_steps_lower_the_loss(name: str) -> None:
    net = small(name).train()
    torch.manual_seed(1)
    gray = torch.rand(14, 1, net.size, net.size) * 120
    truth = torch.arange(14) % 7
    for image, emotion in zip(gray, truth.tolist(), strict=True):  # a bright band whose height tells the class
        band = net.size // 8
        image[:, band * emotion : band * (emotion + 1)] += 130
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    losses = []
    for _ in range(12):
        loss = sum(torch.nn.functional.cross_entropy(v, truth) for v in net(gray).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())
    assert losses[-1] < losses[0] - 0.1


@pytest.mark.parametrize("name", [n for n in FACES if n != "face_resnet"])  # that one: test_export
def test_network_and_graph_agree(name: str) -> None:
    pytest.importorskip("onnxscript")
    from mien.models.runtime import Session

    net = small(name).train()
    with torch.no_grad():
        for _ in range(2):
            net(torch.rand(8, 1, net.size, net.size) * 255)
    session = Session(export_graph(net), name=name, threads=1, device="cpu")
    for n in (1, 3):
        assert parity(deploy(net), session, [{"crops": crops(n, net.size).numpy()}]) < 1e-4
    assert session.output_names == ("logits_ferplus8", "logits_fer7", "embedding", "features")


# --- costs ------------------------------------------------------------------------------------------------------------


def test_costs_are_those_counted_by_hand() -> None:
    net = tiny()
    stem = 48 * 48 * 4 * 9
    conv1, conv2, skip = 12 * 12 * 8 * 4 * 9, 12 * 12 * 8 * 8 * 9, 12 * 12 * 8 * 4
    heads = 8 * 8 + 8 * 7
    assert count_multiply_adds(net) == stem + conv1 + conv2 + skip + heads
    weights = 4 * 9 + 8 * 4 * 9 + 8 * 8 * 9 + 8 * 4 + heads
    norms, biases = 2 * (4 + 8 + 8), 8 + 7
    assert count_parameters(net) == weights + norms + biases


def of(net: FaceNetwork, part: str) -> int:
    return sum(p.numel() for n, p in net.named_parameters() if n.startswith(part))


def test_small_dexpression_has_the_known_parameters() -> None:
    net = build_network("dexpression", {"fer7": 7})
    parts = [of(net, part) for part in ("conv1", "norm1", "block2", "block3", "heads")]
    assert parts == [3200, 128, 190320, 223600, 68551]
    assert count_parameters(net) == sum(parts) == 485_799


def test_vgg16_has_the_convolutions_of_the_paper() -> None:
    # Simonyan and Zisserman, configuration D: 138,357,544 parameters, of which its three dense layers, with 1,000
    # classes on a 7 x 7 map, are these.
    dense = (512 * 7 * 7 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 1000
    net = build_network("vgg16", {"fer7": 7})
    assert of(net, "features") == 138_357_544 - dense == 14_714_688
    assert count_parameters(net) - of(net, "features") == 513 * 512 + 513 * 7
    normed = build_network("vgg16", {"fer7": 7}, batch_norm=True)
    assert of(normed, "features") - of(net, "features") == 2 * 4224
    # The same thirteen layers at 224 x 224 take 15.3 billion multiply-adds (widely tabled); ours scale with the area.
    assert count_multiply_adds(net) == pytest.approx(15.3466e9 * (48 / 224) ** 2, rel=1e-3)


def test_mini_xception_has_the_parameters_of_its_authors() -> None:
    # The authors' summary for seven classes: 58,423 in all, of which 1,472 are statistics of batch norms.
    net = build_network("mini_xception", {"fer7": 7})
    statistics = sum(b.numel() for n, b in net.named_buffers() if "running" in n)
    assert (count_parameters(net), statistics, count_parameters(net) + statistics) == (56_951, 1_472, 58_423)


def test_dlib_resnet_has_the_layers_of_its_authors() -> None:
    # The published file holds 5,581,824 numbers before its last layer: of 29 convolutions, the first over three colors,
    # with a bias, a scale and an offset for each channel.  At 150 pixels they leave maps of 4 x 4 and 2 x 2.
    net = build_network("dlib_resnet", {}, size=150).eval()
    convolutions = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 29
    weights, channels = (sum(c.weight.numel() for c in convolutions), sum(c.out_channels for c in convolutions))
    assert weights + 2 * 32 * 7 * 7 + 3 * channels == 5_581_824
    with torch.no_grad():
        maps = net.maps(torch.zeros(1, 1, 150, 150))
        assert (maps.shape, net.last(maps).shape) == ((1, 256, 4, 4), (1, 256, 2, 2))
        assert net.embed(maps).shape == (1, 512)


def test_mlp_and_cnn_have_the_known_layers() -> None:
    dense = [(48 * 48 + 1) * 512, 513 * 256, 257 * 128, 129 * 7]
    assert count_parameters(build_network("mlp", {"fer7": 7})) == sum(dense)
    convolutions = [(9 * before + 1) * after for before, after in ((1, 32), (32, 64), (64, 128), (128, 128))]
    assert count_parameters(build_network("cnn", {"fer7": 7})) == sum(convolutions) + (128 * 9 + 1) * 512 + 513 * 7


@pytest.mark.parametrize("name", FACES)
def test_a_summary_accounts_for_every_parameter_in_the_order_of_work(name: str) -> None:
    net = small(name)
    rows = summary(net)
    assert sum(row.parameters for row in rows) == count_parameters(net)
    assert sum(row.multiply_adds for row in rows) == count_multiply_adds(net)
    assert len({row.name for row in rows}) == len(rows)
    assert [row.name for row in rows[-2:]] == ["heads.ferplus8", "heads.fer7"]
    assert all(row.multiply_adds == 0 for row in rows if "Norm" in row.kind)


def test_counting_leaves_the_network_as_it_was() -> None:
    net = tiny().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    count_multiply_adds(net)
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())


# --- where the cells of the last map look -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("face_resnet", {"widths": [6, 8], "strides": [2, 2]}),
        ("dexpression", {}),
        ("dexpression", {"size": 224}),
        ("mini_xception", SMALL["mini_xception"]),
    ],
)
def test_cells_look_where_the_network_says(name: str, options: dict[str, Any]) -> None:
    """The middle of what a cell depends on, far from the border of a large crop, by gradients."""
    torch.manual_seed(0)
    net = build_network(name, {"fer7": 7}, **options).eval()
    said = net.cells()
    assert said is not None
    first, step = said
    x = torch.rand(4, 1, 192, 192, requires_grad=True)
    maps = net.maps(x)
    for cell in (maps.shape[2] // 2, maps.shape[2] // 2 + 1):
        (gradient,) = torch.autograd.grad(maps[:, :, cell, cell].abs().sum(), x, retain_graph=True)
        seen = gradient.abs().sum(dim=(0, 1))
        for used in (seen.sum(0), seen.sum(1)):
            touched = torch.nonzero(used).ravel()
            middle = (int(touched[0]) + int(touched[-1]) + 1) / 2
            assert middle == pytest.approx(first + step * cell, abs=0.51)  # a pooling may not look at its last row


# --- preparation ------------------------------------------------------------------------------------------------------


def test_a_block_that_changes_nothing_of_the_shape_has_no_skip_convolution() -> None:
    net = tiny(widths=[4, 4], strides=[1, 2])
    names = [name for name, _ in net.named_parameters() if "skip" in name]
    assert names == ["blocks.1.skip.weight"]


def test_standardizing_is_its_closed_form() -> None:
    gray = torch.rand(4, 1, 48, 48) * 255
    found = standardize(gray).numpy()
    for one, own in zip(found, gray.numpy(), strict=True):
        np.testing.assert_allclose(one, (own - own.mean()) / (own.std() + 4), atol=1e-4)


def test_standardizing_a_flat_image_gives_zeros() -> None:
    assert torch.equal(standardize(torch.full((2, 1, 8, 8), 200.0)), torch.zeros(2, 1, 8, 8))


def test_brightness_does_not_change_the_logits() -> None:
    net = tiny().eval()
    gray = torch.rand(3, 1, 48, 48) * 100
    with torch.no_grad():
        plain, brighter = net(gray), net(gray + 60)
    for head in HEADS:
        torch.testing.assert_close(plain[head], brighter[head], atol=1e-3, rtol=0)


@pytest.mark.parametrize("inputs", ["standardized", *INPUTS])
def test_vgg16_prepares_the_channels_that_public_weights_expect(inputs: str) -> None:
    net = build_network("vgg16", {"fer7": 7}, inputs=inputs)
    gray = torch.rand(2, 1, 48, 48) * 255
    found = net.prepare(gray)
    assert found.shape == (2, 3, 48, 48)
    for channel in range(3):
        own = gray[:, 0].numpy().astype(np.float64)
        if inputs == "standardized":
            expected = standardize(gray)[:, 0].numpy()
        elif inputs == "imagenet":
            expected = (own / 255 - (0.485, 0.456, 0.406)[channel]) / (0.229, 0.224, 0.225)[channel]
        else:
            means = {"caffe": (103.939, 116.779, 123.68), "vggface": (93.594, 104.7624, 129.1863)}
            means["vggface_rgb"] = means["vggface"][::-1]
            expected = own - means[inputs][channel]
        np.testing.assert_allclose(found[:, channel].numpy(), expected, atol=1e-4)


def test_deployed_takes_color_and_gives_the_same_logits() -> None:
    net = tiny().eval()
    images = crops(3)
    luma = (images.double() * torch.tensor([0.299, 0.587, 0.114]).double()).sum(dim=3).float()[:, None]
    with torch.no_grad():
        *logits, embedding, features = DeployedFace(net)(images)
        expected = net(luma)
    for head, found in zip(HEADS, logits, strict=True):
        torch.testing.assert_close(found, expected[head], atol=1e-4, rtol=0)
    assert features.shape == (3, 8, 12, 12)
    torch.testing.assert_close(embedding, features.mean(dim=(2, 3)))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "vgg99",
            {},
            "unknown network 'vgg99': expected one of mlp, cnn, vgg16, dexpression, mini_xception, face_resnet",
        ),
        ("dlib_resnet", {"size": 100}, "dlib_resnet takes crops of at least 104 pixels, but got 100"),
        ("face_resnet", {"depth": 3}, "network 'face_resnet': .*unexpected keyword argument 'depth'"),
        ("face_resnet", {**TINY, "widths": [8, 8]}, r"needs a stride for each width, but got \[8, 8\] and \[4\]"),
        ("face_resnet", {"widths": [], "strides": []}, "needs a stride for each width"),
        ("face_resnet", {**TINY, "inner": [8, 8]}, r"inner channels for each width, but got \[8\] and \[8, 8\]"),
        ("face_resnet", {"stem": "wide"}, "network 'face_resnet': "),
        ("dexpression", {"size": 64}, "dexpression takes crops of 48 or 224 pixels, but got 64"),
        ("vgg16", {"size": 24}, "vgg16 takes crops of at least 32 pixels, but got 24"),
        ("vgg16", {"inputs": "rgb"}, "inputs must be one of standardized, imagenet, caffe, .* but got 'rgb'"),
        ("mlp", {"stem": 4}, "network 'mlp': .*unexpected keyword argument 'stem'"),
        ("cnn", {"size": 8}, "cnn takes crops of at least 16 pixels for 4 convolutions, but got 8"),
        ("cnn", {"widths": []}, "cnn needs at least one convolution"),
        ("mlp", {"widths": []}, "mlp needs at least one hidden layer"),
        ("mini_xception", {"widths": []}, "mini_xception needs at least one module"),
        ("mini_xception", {"size": 4}, "mini_xception takes crops of at least 8 pixels, but got 4"),
    ],
)
def test_wrong_options_raise(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_network(name, HEADS, **options)


def test_the_page_on_networks_says_what_they_cost() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "training" / "networks.md").read_text("utf-8")
    rows = {
        line.split("`")[1]: line
        for line in page.splitlines()
        if line.startswith("| `") and any(f" | {size}" in line for size in (48, 112))
    }
    assert set(rows) == set(FACES)
    for name, row in rows.items():
        sizes = {"dexpression": (48, 224), "dlib_resnet": (112,)}.get(name, (48,))
        nets = [build_network(name, {"fer7": 7}, size=size) for size in sizes]
        assert f"| {' or '.join(f'{count_parameters(net):,}' for net in nets)} |" in row
        costs = [count_multiply_adds(net) / 1e6 for net in nets]
        assert f"| {' or '.join(f'{cost:.0f} M' if cost > 100 else f'{cost:.1f} M' for cost in costs)} |" in row
    voices = {
        line.split("`")[1]: line
        for line in page.splitlines()
        if line.startswith("| `") and line.split("`")[1] not in rows
    }
    for name in SPEECH:
        speech = build_network(name, {"ravdess8": 8})
        shape = " x ".join(map(str, speech.example()[0].shape[2:]))
        cost = count_multiply_adds(speech) / 1e6
        shown = f"{cost:.0f} M" if cost > 100 else f"{cost:.1f} M"
        assert f"| {shape} | {count_parameters(speech):,} | {shown} |" in voices[name]
