"""Public VGG16 weights: files with the published keys and shapes, against the network written out by layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import save_file  # noqa: E402
from torch.nn import functional as nnf  # noqa: E402

from mien.errors import ModelError  # noqa: E402
from mien.train.init import freeze, init_network  # noqa: E402
from mien.train.nets import FaceNetwork, build_network  # noqa: E402
from mien.train.nets.vgg16 import translate  # noqa: E402

HEADS = {"fer7": 7}
WIDTHS = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
NAMES = [f"{b}_{i}" for b, n in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, n + 1)]
POOL_BEFORE = {2, 4, 7, 10}
# Places of the convolutions in torchvision's `features`, as its published files have them.
PLAIN = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
NORMED = [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40]

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def convolutions() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return weight and bias of each convolution: small enough that nothing dies or explodes on the way."""
    torch.manual_seed(5)
    before = [3, *WIDTHS[:-1]]
    return [
        (torch.randn(after, i, 3, 3) * (2 / (9 * i)) ** 0.5, torch.rand(after) * 0.1)
        for i, after in zip(before, WIDTHS, strict=True)
    ]


def public(layout: str, convolutions: list[tuple[torch.Tensor, torch.Tensor]]) -> Tensors:
    """Return a file's content in a publisher's keys; the dense layers in small, since nobody reads them."""
    state: Tensors = {}
    for name, plain, normed, (weight, bias) in zip(NAMES, PLAIN, NORMED, convolutions, strict=True):
        keys = {
            "torchvision": f"features.{plain}",
            "timm": f"features.{plain}",
            "torchvision bn": f"features.{normed}",
            "vggface": f"conv{name}",
            "vggface underscore": f"conv_{name}",
            "keras": f"block{name[0]}_conv{name[2]}",
            "keras nested": f"block{name[0]}_conv{name[2]}/block{name[0]}_conv{name[2]}",
            "keras vggface": f"conv{name}",
        }
        key = keys[layout]
        if layout.startswith("keras"):
            end = ":0" if "nested" in layout else ""
            state[f"{key}/kernel{end}"] = weight.permute(2, 3, 1, 0).contiguous()
            state[f"{key}/bias{end}"] = bias
            continue
        state[f"{key}.weight"], state[f"{key}.bias"] = weight, bias
        if layout == "torchvision bn":
            n = len(bias)
            norm = f"features.{normed + 1}"
            state |= {f"{norm}.weight": torch.full((n,), 1.1), f"{norm}.bias": torch.full((n,), 0.05)}
            state |= {f"{norm}.running_mean": torch.full((n,), 0.02), f"{norm}.running_var": torch.full((n,), 0.9)}
    dense = {
        "torchvision": ["classifier.0.weight", "classifier.6.bias"],
        "torchvision bn": ["classifier.0.weight", "classifier.6.bias"],
        "timm": ["pre_logits.fc1.weight", "head.fc.weight"],
        "vggface": ["fc6.weight", "fc8.bias"],
        "vggface underscore": ["fc6.weight", "fc8.bias"],
        "keras": ["fc1/kernel", "predictions/bias"],
        "keras nested": ["fc1/fc1/kernel:0", "predictions/predictions/bias:0"],
        "keras vggface": ["fc6/kernel", "fc8/bias"],
    }
    return state | {key: torch.zeros(2, 2) for key in dense[layout]}


def written_out(
    x: torch.Tensor, convolutions: list[tuple[torch.Tensor, torch.Tensor]], *, normed: bool
) -> torch.Tensor:
    for number, (weight, bias) in enumerate(convolutions):
        if number in POOL_BEFORE:
            x = nnf.max_pool2d(x, 2)
        x = nnf.conv2d(x, weight, bias, padding=1)
        if normed:
            x = (x - 0.02) / (0.9 + 1e-5) ** 0.5 * 1.1 + 0.05
        x = nnf.relu(x)
    return x


def net_for(layout: str, **more: object) -> FaceNetwork:
    inputs = {"keras": "caffe", "keras nested": "caffe", "torchvision": "imagenet", "timm": "imagenet"}
    inputs |= {"torchvision bn": "imagenet"}
    options = {"inputs": inputs.get(layout, "vggface"), "batch_norm": layout == "torchvision bn", **more}
    return build_network("vgg16", HEADS, **options).eval()


LAYOUTS = (
    ("torchvision", "torchvision"),
    ("torchvision bn", "torchvision"),
    ("timm", "timm"),
    ("vggface", "VGGFace"),
    ("vggface underscore", "VGGFace"),
    ("keras", "Keras"),
    ("keras nested", "Keras"),
    ("keras vggface", "Keras VGGFace"),
)


@pytest.mark.parametrize(("layout", "called"), LAYOUTS)
def test_the_maps_are_those_of_the_net_written_out(
    layout: str, called: str, convolutions: list[tuple[torch.Tensor, torch.Tensor]]
) -> None:
    net = net_for(layout)
    found = translate(public(layout, convolutions), net)
    assert found is not None
    assert found.layout.name == called
    assert found.advice(net) == ""
    net.load_state_dict({**net.state_dict(), **found.tensors})
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = written_out(x, convolutions, normed=layout == "torchvision bn")
        torch.testing.assert_close(net.maps(x), expected, atol=1e-4, rtol=1e-4)
    assert expected.std() > 0.01


def test_a_kernel_of_keras_is_turned_as_a_convolution_by_hand_says() -> None:
    """One output pixel of conv1_1, summed over the published order: height, width, in, out."""
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(3, 3, 3, 64)).astype(np.float32)
    state = {
        f"block{n[0]}_conv{n[2]}/kernel": torch.zeros(3, 3, i, o)
        for n, i, o in zip(NAMES, [3, *WIDTHS[:-1]], WIDTHS, strict=True)
    }
    state |= {f"block{n[0]}_conv{n[2]}/bias": torch.zeros(o) for n, o in zip(NAMES, WIDTHS, strict=True)}
    state["block1_conv1/kernel"] = torch.from_numpy(kernel)
    found = translate(state, net_for("keras"))
    assert found is not None
    image = generator.normal(size=(3, 3, 3)).astype(np.float32)  # height, width, channel
    by_hand = np.einsum("hwi,hwio->o", image, kernel)
    x = torch.from_numpy(image.transpose(2, 0, 1).copy())[None]
    np.testing.assert_allclose(nnf.conv2d(x, found.tensors["features.0.weight"]).ravel().numpy(), by_hand, rtol=1e-4)


def test_from_a_file_to_a_net_with_frozen_blocks(
    tmp_path: Path, convolutions: list[tuple[torch.Tensor, torch.Tensor]]
) -> None:
    told: list[str] = []
    save_file(public("torchvision", convolutions), tmp_path / "vgg16.safetensors")
    torch.save(public("vggface", convolutions), tmp_path / "vgg_face.pth")
    for name, inputs in (("vgg16.safetensors", "imagenet"), ("vgg_face.pth", "vggface")):
        net = build_network("vgg16", HEADS, inputs=inputs)
        before = {k: v.clone() for k, v in net.state_dict().items()}
        init_network(net, str(tmp_path / name), report=told.append)
        for place, (weight, bias) in zip(PLAIN, convolutions, strict=True):
            assert torch.equal(net.state_dict()[f"features.{place}.weight"], weight)
            assert torch.equal(net.state_dict()[f"features.{place}.bias"], bias)
        for key in ("dense.weight", "heads.fer7.weight"):
            assert torch.equal(net.state_dict()[key], before[key])
        assert len(freeze(net, ["block1-block4"])) == 20
    assert told[0] == "torchvision weights: 26 tensors of the convolutions"
    assert told[1].endswith("26 tensors; fresh: dense, fer7")
    init_network(build_network("vgg16", HEADS), str(tmp_path / "vgg16.safetensors"), report=told.append)
    assert told[-2].startswith("warning: torchvision weights were trained on inputs = 'imagenet', but the network has")


CASES = [
    (
        "torchvision",
        {"features.5.weight": torch.zeros(128, 64, 5, 5)},
        r"features\.5\.weight must have the shape \(128, 64, 3, 3\), but has \(128, 64, 5, 5\)",
    ),
    ("torchvision", {"features.28.bias": None}, r"torchvision weights: features\.28\.bias \(512,\) is missing"),
    ("torchvision", {"features.99.weight": torch.zeros(2)}, r"unexpected features\.99\.weight \(2,\)"),
    ("timm", {"stem.weight": torch.zeros(2)}, r"timm weights: unexpected stem\.weight \(2,\)"),
    (
        "keras",
        {"block1_conv2/kernel": torch.zeros(64, 64, 3, 3)},
        r"Keras weights: block1_conv2/kernel must have the shape \(3, 3, 64, 64\), but has \(64, 64, 3, 3\)",
    ),
    ("keras", {"block2_conv1/bias": None}, "Keras weights: conv2_1 has no bias"),
    ("vggface", {"conv3_3.weight": None}, "VGGFace weights: conv3_3 has no weight"),
    ("vggface", {"conv6_1.weight": torch.zeros(2)}, r"VGGFace weights: VGG16 has no layer for conv6_1\.weight"),
    ("vggface", {"other": torch.zeros(2)}, r"VGGFace weights: unexpected other \(2,\)"),
]


@pytest.mark.parametrize(("layout", "change", "message"), CASES)
def test_the_first_wrong_key_is_named_as_it_stands_in_the_file(
    layout: str,
    change: dict[str, torch.Tensor | None],
    message: str,
    convolutions: list[tuple[torch.Tensor, torch.Tensor]],
) -> None:
    state = {**public(layout, convolutions), **change}
    with pytest.raises(ModelError, match=message):
        translate({key: value for key, value in state.items() if value is not None}, net_for(layout))


@pytest.mark.parametrize(
    ("layout", "batch_norm", "said"),
    [
        ("torchvision", True, "have no batch norms: give the network batch_norm = false"),
        ("torchvision bn", False, "have batch norms: give the network batch_norm = true"),
        ("vggface", True, "have no batch norms: give the network batch_norm = false"),
    ],
)
def test_batch_norms_must_fit(
    layout: str, batch_norm: bool, said: str, convolutions: list[tuple[torch.Tensor, torch.Tensor]]
) -> None:
    with pytest.raises(ModelError, match=said):
        translate(public(layout, convolutions), net_for(layout, batch_norm=batch_norm))


def test_our_own_weights_and_strangers_are_no_public_layout() -> None:
    net = net_for("torchvision")
    assert translate(net.state_dict(), net) is None
    assert translate({"encoder.weight": torch.zeros(2)}, net) is None
