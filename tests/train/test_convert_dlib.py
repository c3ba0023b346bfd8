"""The script that makes dlib's weights a start: what it reads, and that the network computes what dlib's does."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from mien.train.nets.dlib_resnet import DlibResNet  # noqa: E402  - needs torch

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "convert_dlib.py"


def integer(value: int) -> bytes:
    """Return an integer as dlib writes it: how many bytes, then these, the lowest first."""
    content = value.to_bytes((value.bit_length() + 7) // 8 or 1, "little")
    return bytes([len(content)]) + content


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_dlib_weights_keep_their_function(script: dict[str, Any]) -> None:
    generator = np.random.default_rng(0)
    net = DlibResNet(heads={}, size=104)
    content, tensors = b"\x01\x01some header", []
    for conv in (m for m in net.modules() if isinstance(m, torch.nn.Conv2d)):
        channels = conv.out_channels
        colors = conv.in_channels if conv is not net.stem else 3
        deviation = (2 / (colors * conv.kernel_size[0] ** 2)) ** 0.5
        weights = generator.normal(0, deviation, channels * colors * conv.kernel_size[0] ** 2)
        bias, scale, offset = generator.normal(0, 0.1, (3, channels)) + np.array([[0], [1], [0]])
        for name, values in (("con_4", [*weights, *bias]), ("affine_", [*scale, *offset])):
            array = np.array(values, "<f4")
            content += name.encode() + b"\x01\x02" + b"".join(map(integer, (len(array), 1, 1, 1))) + array.tobytes()
            tensors.append(array)
    read = list(script["read_tensors"](content))
    assert len(read) == len(tensors) == 58
    assert all(np.array_equal(one, other) for one, other in zip(read, tensors, strict=True))

    script["convert"](content, net)
    gray = torch.from_numpy(generator.integers(0, 256, (6, 1, 104, 104))).float()
    x = net.prepare(gray)
    with torch.no_grad():
        # The first layers by hand: three equal colors of the contrast that a crop has in dlib's input.
        colored = torch.from_numpy(read[0][:-32].reshape(32, 3, 7, 7).copy())
        plain = torch.nn.functional.conv2d(
            0.22 * x.repeat(1, 3, 1, 1), colored, torch.from_numpy(read[0][-32:].copy()), 2
        )
        scale, offset = torch.from_numpy(read[1].copy()).reshape(2, 32, 1, 1)
        torch.testing.assert_close(net.eval().norm(net.stem(x)), scale * plain + offset, atol=1e-4, rtol=1e-4)
        before = net.embed(net.maps(x))
        script["set_statistics"](net, gray)
        torch.testing.assert_close(net.embed(net.maps(x)), before, atol=1e-3, rtol=1e-3)
        # In training, the norms now take the statistics that they have.
        net.train()(gray)
        norm = net.levels[2][1].norm2
        learned = (norm.running_mean.clone(), norm.running_var.clone())
        script["set_statistics"](net, gray)
        torch.testing.assert_close((norm.running_mean, norm.running_var), learned, atol=1e-3, rtol=1e-2)
