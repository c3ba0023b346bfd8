"""Weights from models, runs, files and the hub; frozen parts."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import save_file  # noqa: E402

from mien.errors import InputError, MissingExtraError, ModelError, UnknownModelError  # noqa: E402
from mien.models import registry, runtime  # noqa: E402
from mien.train import init  # noqa: E402
from mien.train.init import blend_weights, freeze, init_network, read_state  # noqa: E402
from mien.train.nets import FaceNetwork, build_network  # noqa: E402

HEADS = {"ferplus8": 8, "fer7": 7}


def tiny(seed: int = 0, heads: dict[str, int] | None = None, **more: object) -> FaceNetwork:
    torch.manual_seed(seed)
    options = {"stem": 4, "widths": [6, 8], "strides": [4, 2], "dropout": 0.0, **more}
    net = build_network("face_resnet", heads or HEADS, **options).train()
    with torch.no_grad():
        net(torch.rand(8, 1, 48, 48) * 255)  # statistics that are not the fresh ones
    return net


def states_equal(first: FaceNetwork, second: FaceNetwork, *, but: tuple[str, ...] = ()) -> bool:
    a, b = first.state_dict(), second.state_dict()
    return all(torch.equal(a[key], b[key]) for key in a if not key.endswith("num_batches_tracked") and key not in but)


def write(kind: str, net: FaceNetwork, folder: Path) -> str:
    """Write a net in one of the forms; return the source that names it."""
    state = {k: v.contiguous() for k, v in net.state_dict().items()}
    if kind == "onnx":
        from mien.train.export import export_graph

        (folder / "net.onnx").write_bytes(export_graph(net))
        return str(folder / "net.onnx")
    if kind in ("run", "safetensors"):
        save_file(state, folder / "model.safetensors")
        return str(folder if kind == "run" else folder / "model.safetensors")
    if kind == "unfinished run":
        (folder / "checkpoints").mkdir()
        task = {f"net.{k}": v for k, v in state.items()} | {"scores.fer7.tp": torch.zeros(7)}
        torch.save({"state_dict": task, "epoch": 3}, folder / "checkpoints" / "best.ckpt")
        return str(folder)
    path = folder / f"weights.{kind}"
    torch.save({f"module.{k}": v for k, v in state.items()} if kind == "pth" else state, path)
    return str(path)


@pytest.mark.parametrize("kind", ["onnx", "safetensors", "run", "unfinished run", "pt", "pth", "bin"])
def test_every_form_gives_the_same_weights(kind: str, tmp_path: Path) -> None:
    told: list[str] = []
    trained, net = tiny(1), tiny(2)
    assert not states_equal(trained, net)
    init_network(net, write(kind, trained, tmp_path), report=told.append)
    assert states_equal(trained, net)
    assert len(told) == 1
    assert "with the heads fer7, ferplus8" in told[0]
    assert "fresh" not in told[0]


def test_a_shipped_model_answers_as_its_graph_does() -> None:
    from mien.train.export import parity
    from mien.train.recipe import load_recipe

    spec = registry.get("face-base")
    recipe = load_recipe("face-base")
    net = build_network(recipe.net, HEADS, **recipe.net_options)
    init_network(net, "face-base")
    crops = torch.randint(0, 256, (4, 48, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert parity(net, runtime.load(spec, threads=1), [{"crops": crops.numpy()}]) < 1e-4


def test_a_shallower_net_starts_from_the_first_blocks_of_a_deeper_one(tmp_path: Path) -> None:
    sizes = {"fer7": 7, "other": 3}
    deep = build_network("face_resnet", sizes, stem=4, widths=[6, 8, 8], strides=[2, 2, 1])
    shallow = build_network("face_resnet", sizes, stem=4, widths=[6, 8], strides=[2, 2])
    save_file(deep.state_dict(), tmp_path / "model.safetensors")
    told: list[str] = []
    init_network(shallow, str(tmp_path), report=told.append)
    for key, value in shallow.state_dict().items():
        assert torch.equal(value, deep.state_dict()[key]), key
    assert told[0].endswith("left out: blocks.2")
    save_file(shallow.state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"it has no blocks\.2\.\w+"):
        init_network(deep, str(tmp_path))


def test_a_net_of_fewer_inner_channels_takes_those_that_give_something(tmp_path: Path) -> None:
    sizes, options = {"fer7": 7, "other": 3}, {"stem": 4, "widths": [6, 8], "strides": [2, 2]}
    wide = build_network("face_resnet", sizes, **options).eval()
    narrow = build_network("face_resnet", sizes, **options, inner=[4, 5]).eval()
    with torch.no_grad():
        for number, gone in ((0, [0, 3]), (1, [1, 2, 7])):
            block = wide.get_submodule(f"blocks.{number}")
            block.norm2.weight.uniform_(0.5, 2.0)
            block.norm2.bias.normal_()
            # A channel gives nothing if nobody takes it, or if it is never above zero.
            block.conv2.weight[:, gone[1:]] = 0
            block.norm2.weight[gone[0]] = 1e-3
            block.norm2.bias[gone[0]] = -1
    save_file(wide.state_dict(), tmp_path / "model.safetensors")
    told: list[str] = []
    init_network(narrow, str(tmp_path), report=told.append)
    assert told[-1] == "inner channels kept: blocks.0 4 of 6, blocks.1 5 of 8"
    crops = torch.rand(3, 1, 16, 16) * 255
    for head, logits in wide(crops).items():
        torch.testing.assert_close(narrow(crops)[head], logits)
    state = wide.state_dict()
    del state["blocks.1.norm2.running_mean"]
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"blocks\.1\.conv1\.weight has the shape \(8, 6, 3, 3\), but needs \(5, 6"):
        init_network(narrow, str(tmp_path))


def test_blended_weights_lie_between_start_and_net(tmp_path: Path) -> None:
    start, net = tiny(seed=1), tiny(seed=2, heads={"ferplus8": 8, "own": 3})
    source = write("safetensors", start, tmp_path)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    blend_weights(net, source, 0.25)
    for key, value in net.state_dict().items():
        if key.startswith("heads.own") or not value.is_floating_point():
            assert torch.equal(value, before[key])
        else:
            torch.testing.assert_close(value, 0.75 * before[key] + 0.25 * start.state_dict()[key])
    assert not torch.equal(net.norm.running_var, before["norm.running_var"])


def test_heads_of_another_size_or_name_stay_fresh_and_are_named(tmp_path: Path) -> None:
    told: list[str] = []
    source = write("safetensors", tiny(1), tmp_path)
    net = tiny(2, {"ferplus8": 8, "fer7": 5, "own": 3})
    before = {k: v.clone() for k, v in net.state_dict().items()}
    init_network(net, source, report=told.append)
    own = net.state_dict()
    for name in ("fer7", "own"):
        assert torch.equal(own[f"heads.{name}.weight"], before[f"heads.{name}.weight"])
    for key in ("heads.ferplus8.weight", "blocks.1.conv2.weight", "norm.running_var"):
        assert torch.equal(own[key], tiny(1).state_dict()[key])
    assert told == [f"started from {source}: 34 tensors, with the heads ferplus8; fresh: fer7, own"]
    told.clear()
    init_network(tiny(2, {"own": 3}), source, report=told.append)
    assert told[0].endswith("fresh: own; left out: fer7, ferplus8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stem.weight": None}, r"it has no stem\.weight, which the network has with the shape \(4, 1, 3, 3\)"),
        (
            {"blocks.0.conv1.weight": torch.zeros(6, 4, 5, 5)},
            r"blocks\.0\.conv1\.weight has the shape \(6, 4, 5, 5\), but needs \(6, 4, 3, 3\)",
        ),
        ({"blocks.1.conv9.weight": torch.zeros(2)}, r"the network has no blocks\.1\.conv9\.weight, .* \(2,\)"),
        ({"norm.running_mean": torch.full((8,), torch.nan)}, r"norm\.running_mean holds numbers that are not finite"),
        (
            {"heads.fer7.weight": torch.zeros(7, 9)},
            r"heads\.fer7\.weight has the shape \(7, 9\), but needs \(7, 8\)",
        ),
    ],
)
def test_the_first_wrong_key_is_named_and_nothing_is_changed(
    change: dict[str, torch.Tensor | None], message: str, tmp_path: Path
) -> None:
    state = {**tiny(1).state_dict(), **change}
    save_file({k: v.contiguous() for k, v in state.items() if v is not None}, tmp_path / "w.safetensors")
    net = tiny(2)
    with pytest.raises(ModelError, match=message):
        init_network(net, str(tmp_path / "w.safetensors"))
    assert states_equal(net, tiny(2))


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code of a weights file was run')",)


def hostile() -> dict[str, tuple[str, bytes, str]]:
    stream = io.BytesIO()
    torch.save({"a": Harmful()}, stream)
    whole = io.BytesIO()
    torch.save(tiny().state_dict(), whole)
    numbers = io.BytesIO()
    torch.save([1, 2, 3], numbers)
    return {
        "code": ("a.pt", stream.getvalue(), "is damaged, or holds more than tensors, which is not run"),
        "old code": ("a.bin", pickle.dumps(Harmful()), "holds more than tensors, which is not run"),
        "truncated": ("a.pth", whole.getvalue()[:200], "is damaged"),
        "empty": ("a.pt", b"", "is damaged"),
        "no dict": ("a.ckpt", numbers.getvalue(), "is no state dict: expected tensors by name"),
        "safetensors": ("a.safetensors", b"\xff" * 64, "cannot read weights from .*a.safetensors"),
        "empty safetensors": ("a.safetensors", b"", "cannot read weights from .*a.safetensors"),
        "onnx": ("a.onnx", b"no graph at all", "it is no ONNX graph"),
        "empty onnx": ("a.onnx", b"", r"has no weights named net\.\*"),
        "suffix": ("a.h5", b"", r"expected a file ending in \.onnx, \.safetensors"),
    }


@pytest.mark.parametrize("case", hostile())
def test_files_that_are_none_are_one_error(case: str, tmp_path: Path) -> None:
    name, content, message = hostile()[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        init_network(tiny(), str(tmp_path / name))


def test_a_source_that_is_not_there_says_what_could_be(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match="no weights at 'gone': expected the name of a shipped model"):
        read_state("gone")
    with pytest.raises(ModelError, match=r"holds no weights: expected model\.safetensors or checkpoints/best\.ckpt"):
        read_state(str(tmp_path))


def test_the_hub_is_asked_for_the_named_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = Path(write("safetensors", tiny(1), tmp_path))
    asked: list[tuple[str, str]] = []

    def download(name: str, file: str) -> str:
        asked.append((name, file))
        if file == "gone.pt":
            raise FileNotFoundError("404: Entry\nNot Found")
        return str(source)

    monkeypatch.setattr(init, "import_extra", lambda *_, **__: SimpleNamespace(hf_hub_download=download))
    net = tiny(2)
    init_network(net, "hub:someone/faces")
    init_network(net, "hub:someone/faces:weights/last.safetensors")
    assert asked == [("someone/faces", "model.safetensors"), ("someone/faces", "weights/last.safetensors")]
    assert states_equal(net, tiny(1))
    with pytest.raises(ModelError, match=r"cannot load hub:a/b:gone\.pt: 404: Entry Not Found"):
        read_state("hub:a/b:gone.pt")
    for wrong in ("hub:", "hub:one", "hub:../../etc", "hub:a/b/c"):
        with pytest.raises(InputError, match="a hub reference must be hub:owner/name"):
            read_state(wrong)


def test_without_the_hub_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r'loading hub:a/b needs huggingface_hub: pip install "mien\[hub\]"'):
        read_state("hub:a/b")


# --- freezing ---------------------------------------------------------------------------------------------------------


def step(net: FaceNetwork) -> dict[str, torch.Tensor]:
    """Do one step of training; return the state before it."""
    net.train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    trained = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    answers = net(torch.rand(8, 1, net.size, net.size) * 255)
    sum(torch.nn.functional.cross_entropy(v, torch.arange(8) % 7) for v in answers.values()).backward()
    optimizer.step()
    return before


def changed(net: FaceNetwork, before: dict[str, torch.Tensor]) -> set[str]:
    return {k for k, v in net.state_dict().items() if not torch.equal(v, before[k])}


def test_a_frozen_body_keeps_weights_and_statistics_and_the_heads_learn() -> None:
    net = tiny()
    frozen = freeze(net, ["body"])
    assert frozen == [n for n, _ in net.named_parameters() if not n.startswith("heads.")]
    before = step(net)
    assert changed(net, before) == {f"heads.{h}.{p}" for h in HEADS for p in ("weight", "bias")}
    assert all(p.grad is None for n, p in net.named_parameters() if n in frozen)


@pytest.mark.parametrize(
    ("patterns", "prefixes"),
    [
        (["stem"], ["stem."]),
        (["blocks.0"], ["blocks.0."]),
        (["blocks.0-1", "stem"], ["blocks.", "stem."]),
        (["blocks.1.conv2.weight"], ["blocks.1.conv2.weight"]),
    ],
)
def test_patterns_freeze_what_they_say_and_nothing_else(patterns: list[str], prefixes: list[str]) -> None:
    net = tiny()
    expected = [n for n, _ in net.named_parameters() if n.startswith(tuple(prefixes))]
    assert freeze(net, patterns) == expected
    before = step(net)
    quiet = {k for k in before if k.startswith(tuple(prefixes))}
    assert changed(net, before) == set(before) - quiet


def test_layer_names_of_vgg16_are_those_of_the_paper() -> None:
    for batch_norm in (False, True):
        net = build_network("vgg16", HEADS, batch_norm=batch_norm)
        conv = [n for n, m in net.named_modules() if isinstance(m, torch.nn.Conv2d)]
        assert [places[0] for places in net.layer_names().values()] == conv
        assert list(net.layer_names())[::4] == ["conv1_1", "conv3_1", "conv4_2", "conv5_3"]
        frozen = freeze(net, ["block1-block4"])
        assert len(frozen) == 10 * 2 * (1 + batch_norm)
        left = [n for n, p in net.named_parameters() if p.requires_grad]
        places = [place for name in ("conv5_1", "conv5_2", "conv5_3") for place in net.layer_names()[name]]
        assert left == [
            n for n, _ in net.named_parameters() if n.startswith(("dense", "heads")) or n.rpartition(".")[0] in places
        ]


@pytest.mark.parametrize(
    ("pattern", "count"), [("conv1_1-conv4_3", 20), ("block2", 4), ("conv3_2", 2), ("block1-conv2_1", 6)]
)
def test_ranges_of_layer_names_include_both_ends(pattern: str, count: int) -> None:
    assert len(freeze(build_network("vgg16", HEADS), [pattern])) == count


def test_frozen_norms_answer_in_training_whatever_the_order() -> None:
    net = tiny().eval()
    freeze(net, ["blocks.0"])
    for _ in range(2):
        net.train()
        assert not net.blocks[0].norm1.training
        assert net.blocks[1].norm1.training
        assert net.blocks[1].training
        net.eval()
    torch.nn.ModuleDict({"net": net}).train()  # as a task switches it
    assert not net.blocks[0].norm1.training


@pytest.mark.parametrize(
    ("name", "pattern", "message"),
    [
        ("face_resnet", "block", r"called 'block': expected body, stem, blocks\.0-3, norm$"),
        ("face_resnet", "blocks.7-9", "nothing to freeze is called 'blocks.7-9'"),
        ("face_resnet", "", "nothing to freeze is called ''"),
        ("vgg16", "conv6_1", r"expected body, features\.0-28, dense, block1-block5, conv1_1-conv5_3$"),
        ("vgg16", "block4-block1", "nothing to freeze is called 'block4-block1'"),
    ],
)
def test_a_pattern_that_fits_nothing_says_what_there_is(name: str, pattern: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        freeze(build_network(name, HEADS), [pattern])


def test_freezing_everything_is_refused_and_nothing_is_left_frozen() -> None:
    net = tiny()
    with pytest.raises(InputError, match="nothing would be left to train"):
        freeze(net, ["body", "heads"])
    assert all(p.requires_grad for p in net.parameters())
    assert freeze(net, []) == []
