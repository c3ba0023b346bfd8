"""The contract of every shipped model: record, files, graph, and parity with the net that it was exported from."""

from __future__ import annotations

import numpy as np
import pytest

from int8_graphs import in_eight_bits
from mien.face.align import Crop
from mien.models import ModelSpec, registry, runtime, store
from speech_mixtures import voiced

SHIPPED = registry.names()
FACES = registry.names("face-emotion")
VOICES = registry.names("speech-emotion")
LARGEST_MB = 28  # the whole wheel stays under 30


def crops_of(spec: ModelSpec, count: int) -> np.ndarray:
    assert spec.input is not None
    side = spec.input.size
    return np.random.default_rng(7).integers(0, 256, (count, side, side, 3), np.uint8)


def test_the_default_models_are_shipped() -> None:
    assert "face-base" in FACES
    assert "speech-base" in VOICES


def test_all_weights_together_leave_room_in_the_wheel() -> None:
    assert sum(registry.get(name).size_bytes for name in SHIPPED) < LARGEST_MB * 1e6


@pytest.mark.parametrize("name", SHIPPED)
def test_files_are_those_of_the_record(name: str) -> None:
    store.verify(registry.get(name))


@pytest.mark.parametrize("name", FACES)
def test_the_record_has_data_limits_and_results_with_commands(name: str) -> None:
    spec = registry.get(name)
    assert Crop.from_dict(spec.crop).size == spec.input.size  # type: ignore[union-attr]
    assert {"measured", "command", "date"} <= set(spec.crop)
    assert {"intended_use", "not_for", "known_biases"} <= set(spec.card)
    assert spec.results
    for result in spec.results:
        assert result.command.startswith(f"mien evaluate {name} ")
        assert result.split != "Training"
        if result.metric == "accuracy":
            assert result.low is not None
            assert result.low < result.value < result.high  # type: ignore[operator]


@pytest.mark.parametrize("name", FACES)
def test_the_graph_takes_crops_and_only_their_number_varies(name: str) -> None:
    spec = registry.get(name)
    session = runtime.load(spec, threads=1)
    assert session.input_names == ("crops",)
    for count in (1, 3):
        answers = session.run({"crops": crops_of(spec, count)})
        assert {output.tensor for output in spec.heads} | {"embedding", "features"} == set(answers)
        for output in spec.heads:
            assert answers[output.tensor].shape == (count, len(output.labels))
            assert answers[output.tensor].dtype == np.float32
        np.testing.assert_allclose(answers["features"].mean(axis=(2, 3)), answers["embedding"], atol=1e-4)


@pytest.mark.parametrize("name", FACES)
def test_an_image_gives_the_same_alone_and_in_a_batch_and_whatever_its_tint(name: str) -> None:
    spec = registry.get(name)
    session = runtime.load(spec, threads=1)
    crops = crops_of(spec, 5)
    together = session.run({"crops": crops})
    for index in range(5):
        alone = session.run({"crops": crops[index : index + 1]})
        for output in spec.heads:
            np.testing.assert_allclose(alone[output.tensor][0], together[output.tensor][index], atol=1e-4)
    # Scaled contrast around the mean is what the preprocessing takes away, but for its floor of four gray levels.
    flat = (96 + crops[:1].astype(int) // 4).astype(np.uint8)
    full = ((flat.astype(int) - 96) * 4).astype(np.uint8)
    dim, bright = session.run({"crops": flat}), session.run({"crops": full})
    assert all(dim[head.tensor].argmax() == bright[head.tensor].argmax() for head in spec.heads)


@pytest.mark.parametrize("name", [name for name in FACES if not in_eight_bits(name)])
def test_net_and_graph_agree(name: str) -> None:
    pytest.importorskip("torch", reason="parity with the net needs the training extra")
    from mien.train.export import parity
    from mien.train.init import init_network
    from mien.train.nets import build_network
    from mien.train.recipe import load_recipe

    spec = registry.get(name)
    recipe = load_recipe(str(spec.training["recipe"]))
    net = build_network(recipe.net, {output.name: len(output.labels) for output in spec.heads}, **recipe.net_options)
    init_network(net, name)
    assert parity(net, runtime.load(spec, threads=1), [{"crops": crops_of(spec, 16)}]) <= 1e-4


@pytest.mark.parametrize("name", FACES)
def test_the_heads_file_gives_the_logits_of_the_graph(name: str) -> None:
    spec = registry.get(name)
    heads = store.read_arrays(spec, "heads")
    answers = runtime.load(spec, threads=1).run({"crops": crops_of(spec, 4)})
    for output in spec.heads:
        weight, bias = heads[f"weight_{output.name}"], heads[f"bias_{output.name}"]
        logits = np.einsum("kc,nchw->nk", weight, answers["features"]) / answers["features"][0, 0].size + bias
        np.testing.assert_allclose(logits, answers[output.tensor], atol=1e-3)


@pytest.mark.parametrize("name", VOICES)
def test_the_record_of_a_speech_model_has_data_limits_and_results_on_other_speakers(name: str) -> None:
    spec = registry.get(name)
    assert spec.size_bytes <= 12e6
    assert {"intended_use", "not_for", "known_biases", "uar_by_sex", "uar_in_noise"} <= set(spec.card)
    assert spec.training["subjects"]
    assert not set(spec.training["subjects"]) & {"21", "22", "23", "24"}
    assert {"accuracy", "uar", "ece_cross_fitted_above_floor"} <= {result.metric for result in spec.results}
    for result in spec.results:
        if result.dataset == "nemo":  # by a net that did not learn from it
            assert "without nemo" in result.protocol
            continue
        assert result.split.endswith("folds over speakers")
        assert result.command.startswith(f"mien train --recipe {spec.training['recipe']} ")
        if result.metric == "uar":
            assert result.low < result.value < result.high  # type: ignore[operator]


@pytest.mark.parametrize("name", VOICES)
def test_the_graph_takes_a_waveform_of_any_length(name: str) -> None:
    spec = registry.get(name)
    assert spec.sound is not None
    session = runtime.load(spec, threads=1)
    assert session.input_names == ("wave",)
    random = np.random.default_rng(0)
    for seconds in (spec.sound.min_s, 1.234, spec.sound.window_s, 17.0):
        wave = (0.1 * random.standard_normal((1, round(seconds * spec.sound.rate_hz)))).astype(np.float32)
        answers = session.run({"wave": wave})
        assert {output.tensor for output in spec.heads} | {"embedding"} == set(answers)
        for output in spec.heads:
            assert answers[output.tensor].shape == (1, len(output.labels))
            assert np.isfinite(answers[output.tensor]).all()
    for edge in (np.zeros((1, 16000), np.float32), np.ones((1, 16000), np.float32)):
        assert np.isfinite(session.run({"wave": edge})[spec.default_output.tensor]).all()


@pytest.mark.parametrize("name", VOICES)
@pytest.mark.parametrize("gain", [1e-3, 0.1, 3.0])
def test_quiet_speech_gets_the_prediction_of_loud_speech(name: str, gain: float) -> None:
    spec = registry.get(name)
    session = runtime.load(spec, threads=1)
    wave = 0.3 * voiced(2 * 16000, np.random.default_rng(0))[None]
    tensor = spec.default_output.tensor
    found = session.run({"wave": (gain * wave).astype(np.float32)})[tensor]
    np.testing.assert_allclose(found, session.run({"wave": wave})[tensor], atol=2e-3)


@pytest.mark.parametrize("name", VOICES)
def test_the_weights_of_a_speech_model_start_a_training(name: str) -> None:
    pytest.importorskip("torch")
    from mien.train.export import parity
    from mien.train.init import init_network
    from mien.train.nets import build_network
    from mien.train.recipe import load_recipe

    spec = registry.get(name)
    recipe = load_recipe(spec.training["recipe"])
    net = build_network(recipe.net, {o.name: len(o.labels) for o in spec.heads}, **recipe.net_options).eval()
    init_network(net, name)
    waves = [voiced(seconds * 16000, np.random.default_rng(seconds)) for seconds in (1, 3)]
    assert parity(net, runtime.load(spec, threads=1), [{"wave": wave[None]} for wave in waves]) < 1e-4 * net.rounding
