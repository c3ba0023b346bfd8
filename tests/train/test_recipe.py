from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

pytest.importorskip("torch")

from mien.errors import DatasetError, InputError
from mien.train.nets import build_network
from mien.train.nets.base import count_multiply_adds
from mien.train.recipe import Distillation, Loss, Optimizer, Recipe, load_recipe, override, recipe_names

HEADS = {"ferplus8": 8, "fer7": 7}


def test_a_recipe_survives_toml() -> None:
    recipe = Recipe(
        name="own",
        description='quotes " and lines\n',
        net_options={"stem": 4, "widths": [8, 16], "strides": [2, 2]},
        epochs=7,
        optimizer=Optimizer(rate=0.01, average=0.9),
        loss=Loss(mixup=0.2),
        distillation=Distillation(teachers=("a", "b"), weight=0.5),
    )
    assert Recipe.from_dict(tomllib.loads(tomli_w.dumps(recipe.to_dict()))) == recipe
    assert Recipe.from_dict({"name": "own"}) == Recipe(name="own")


def test_whole_numbers_stand_for_floats() -> None:
    recipe = Recipe.from_dict({"name": "own", "optimizer": {"rate": 1}})
    assert recipe.optimizer.rate == 1.0
    assert type(recipe.optimizer.rate) is float


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "missing 1 required positional argument: 'name'"),
        ({"name": "x", "epoch": 3}, "recipe has the unknown key epoch: expected name, "),
        ({"name": "x", "epochs": "3"}, "recipe, epochs must be of type int, but got '3'"),
        ({"name": "x", "epochs": 3.5}, "recipe, epochs must be of type int, but got 3.5"),
        ({"name": "x", "epochs": True}, "recipe, epochs must be of type int, but got True"),
        ({"name": "x", "drop_overlap": 1}, "recipe, drop_overlap must be of type bool, but got 1"),
        ({"name": 5}, "recipe, name must be of type str, but got 5"),
        ({"name": "x", "epochs": 0}, "recipe 'x': epochs must be at least 1 and batch at least 2"),
        ({"name": "x", "batch": 1}, "recipe 'x': epochs must be at least 1 and batch at least 2"),
        ({"name": "x", "init_share": 0.5}, r"recipe 'x': init_share must be in \[0, 1\), and 0 without init"),
        ({"name": "x", "optimizer": 3}, r"recipe, \[optimizer\] must be a table, but got 3"),
        ({"name": "x", "optimizer": {"lr": 3}}, r"recipe, \[optimizer\] has the unknown key lr: expected kind, rate, "),
        ({"name": "x", "loss": {"mixup": "a"}}, r"recipe, \[loss\], mixup must be of type float, but got 'a'"),
        ({"name": "x", "augmentation": {"flip": True}}, r"\[augmentation\], flip must be of type float, but got True"),
        ({"name": "x", "net_options": 3}, "recipe, net_options must be a table, but got 3"),
        ({"name": "x", "distillation": {"teachers": "runs/a"}}, "teachers must be a list of strings, but got 'runs/a'"),
        ({"name": "x", "distillation": {"teachers": [1]}}, r"teachers must be a list of strings, but got \[1\]"),
        ({"name": "x", "labels": "votes"}, "labels must be one of soft, hard, probability, but got 'votes'"),
        ({"name": "x", "crop": "tight"}, "crop must be one of fer2013, eye-distance, but got 'tight'"),
        ({"name": "x", "optimizer": {"kind": "adam"}}, "kind of optimizer must be one of sgd, adamw, but got 'adam'"),
        ({"name": "x", "optimizer": {"schedule": "step"}}, "schedule must be one of cosine, plateau, constant, but"),
        ({"name": "x", "optimizer": {"rate": -1.0}}, "rate must not be below 0 and average in"),
        ({"name": "x", "loss": {"balance": "yes"}}, "balance must be one of none, weights, sampling, but got 'yes'"),
        ({"name": "x", "loss": {"label_smoothing": 1.0}}, "label_smoothing must be in"),
    ],
)
def test_wrong_values_are_named(data: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Recipe.from_dict(data)


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_are_whole_and_build_their_network(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description
    assert recipe.drop_overlap
    net = build_network(recipe.net, HEADS, **recipe.net_options)
    # A network for clips that takes a face model's outputs costs next to nothing itself.
    assert count_multiply_adds(net) > (0 if recipe.kind == "video" else 1e6)


def test_a_recipe_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('name = "own"\nepochs = 3\n')
    assert load_recipe(str(path)) == Recipe(name="own", epochs=3)
    path.write_text("name = \n")
    with pytest.raises(InputError, match=r"recipe .*own\.toml: "):
        load_recipe(str(path))
    path.write_text('name = "own"\nepoch = 3\n')
    with pytest.raises(InputError, match=r"recipe .*own\.toml has the unknown key epoch"):
        load_recipe(str(path))
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DatasetError, match="cannot read the recipe"):
        load_recipe(str(path))


def test_the_names_of_version_0_1_are_still_read() -> None:
    data = {"name": "x", "optimiser": {"rate": 0.5}, "augmentation": {"equalise": 0.3}, "film": {"frames": 8}}
    recipe = Recipe.from_dict({**data, "dataset": "film_folder"})
    assert (recipe.optimizer.rate, recipe.augmentation.equalize, recipe.video.frames) == (0.5, 0.3, 8)
    assert (recipe.dataset, recipe.kind) == ("video_folder", "video")
    assert override(recipe, ["optimiser.rate=0.1"]).optimizer.rate == 0.1


def test_an_unknown_recipe_is_named() -> None:
    with pytest.raises(InputError, match="unknown recipe 'face-bass': expected a file or one of c3d, cnn, cnn-lstm, "):
        load_recipe("face-bass")


def test_single_values_can_be_replaced() -> None:
    recipe = override(
        Recipe(name="own"),
        ["epochs=3", "optimizer.kind=adamw", "optimizer.rate = 1e-3", "net_options.widths=[32, 64]", 'init="runs/a"'],
    )
    assert (recipe.epochs, recipe.optimizer.kind, recipe.optimizer.rate) == (3, "adamw", 0.001)
    assert (recipe.net_options, recipe.init) == ({"widths": [32, 64]}, "runs/a")
    assert override(recipe, []) == recipe


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epochs", "a setting must be KEY=VALUE, but got 'epochs'"),
        ("=3", "a setting must be KEY=VALUE, but got '=3'"),
        ("epoch=3", "recipe own with epoch=3 has the unknown key epoch"),
        ("epochs=many", "epochs must be of type int, but got 'many'"),
        ("name.first=x", "name.first=x: 'name' is no table"),
        ("optimizer.kind=rmsprop", "kind of optimizer must be one of sgd, adamw"),
    ],
)
def test_wrong_settings_are_named(setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        override(Recipe(name="own"), [setting])


@pytest.mark.parametrize("name", ["", "my model", "../../outside", "a/b", "-x", ".hidden", "a\n", "ä"])
def test_names_that_no_model_may_have_are_refused_before_training(name: str) -> None:
    with pytest.raises(InputError, match="a recipe's name must consist of letters, digits and"):
        replace(load_recipe("cnn"), name=name)


@pytest.mark.parametrize("text", ["x = " + "[" * 50_000, "x = " + "9" * 50_000])
def test_a_hostile_recipe_is_a_short_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        load_recipe(str(tmp_path / "r.toml"))
    assert len(str(caught.value)) < 500
