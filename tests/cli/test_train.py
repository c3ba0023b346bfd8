from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mien.cli import main
from mien.errors import InputError

RECIPE = """
name = "tiny"
epochs = 5
batch = 4

[net_options]
stem = 4
widths = [8]
strides = [4]
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["train", *map(str, arguments)])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in ("torch", "lightning", "torchmetrics", "safetensors", "onnx", "onnxscript"):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(RECIPE)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing option '--recipe'"),
        (("--recipe", "face-base"), "Missing option '--data'"),
        (("--recipe", "face-base", "--data", "x", "--epochs", "0"), "0 is not in the range"),
        (("--recipe", "face-base", "--data", "x", "--device", "tpu"), "'tpu' is not one of"),
        (("--recipe", "face-base", "--data", "x", "--precision", "int8"), "'int8' is not one of"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr


@pytest.mark.parametrize("module", ["torch", "lightning", "onnxscript"])
def test_without_the_extra_it_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == module or name.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    done = run("--recipe", "face-base", "--data", "x")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr == f'mien: training needs {module}: pip install "mien[train]"\n'


def test_options_reach_the_run(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.train import run as module

    calls = []

    def train(recipe: object, **options: object) -> Path:
        calls.append((recipe, options))
        return Path(options["out"])

    monkeypatch.setattr(module, "train", train)
    done = run(
        *("--recipe", "tiny.toml", "--data", "fer.csv", "--labels", "votes.csv", "--epochs", "3", "--seed", "9"),
        *("--device", "cpu", "--precision", "float32", "--threads", "2", "--devices", "3", "--dataset", "fer2013"),
        *("--workers", "2", "--accumulate", "4", "--logger", "csv", "--option", "subject=s\\d+", "--option", "size=64"),
        *("--set", "optimizer.rate=0.5", "--freeze", "stem", "--freeze", "blocks.0", "--init", "face-base"),
    )
    assert (done.exit_code, done.stdout, done.stderr) == (0, "runs/tiny\n", "")
    ((recipe, options),) = calls
    assert (recipe.name, recipe.epochs, recipe.seed, recipe.batch) == ("tiny", 3, 9, 4)
    assert (options["data"], options["labels"], options["out"]) == (
        Path("fer.csv"),
        Path("votes.csv"),
        Path("runs") / "tiny",
    )
    assert (recipe.dataset, recipe.optimizer.rate, recipe.init) == ("fer2013", 0.5, "face-base")
    assert recipe.freeze == ("stem", "blocks.0")
    machine = options["options"]
    assert (machine.devices, machine.workers, machine.loggers) == (3, 2, ("csv",))
    assert (recipe.accumulate, recipe.dataset_options) == (4, {"subject": "s\\d+", "size": 64})
    assert (machine.device, machine.precision, machine.threads, machine.progress) == ("cpu", "float32", 2, False)


def test_folds_are_a_table(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.train import folds as module

    calls = []

    def train_folds(recipe: object, **options: object) -> tuple[module.FoldResult, ...]:
        calls.append(options)
        segments = (0.4, 0.3, 0.5, 0.35, 0.25, 0.45)
        return tuple(module.FoldResult(way, "baum8", 100, 9, *segments, 0.22, (0.4, 0.4)) for way in options["ways"])

    monkeypatch.setattr(module, "train_folds", train_folds)
    done = run(
        *("--recipe", "tiny.toml", "--dataset", "baum2_frames", "--data", "frames", "--folds", "2"),
        *("--split", "subject", "--split", "random"),
    )
    assert (done.exit_code, calls[0]["k"], calls[0]["ways"]) == (0, 2, ("subject", "random"))
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "40.0 % [30.0, 50.0]" in next(line for line in lines if line.startswith("subject"))
    assert "22.0 %" in next(line for line in lines if line.startswith("random"))
    assert lines[-1] == "runs/tiny"


def test_a_way_to_split_needs_folds(here: Path) -> None:
    done = run("--recipe", "tiny.toml", "--data", "x", "--split", "random")
    assert done.exit_code == 2
    assert "--split, --only and --noise need --folds" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--recipe", "tiny.toml", "--data", "x", "--set", "epoch=3"), "has the unknown key epoch"),
        (("--recipe", "tiny.toml", "--data", "x", "--dataset", "fer"), "unknown dataset 'fer'"),
        (("--recipe", "face-bass", "--data", "x"), "unknown recipe 'face-bass': expected a file or one of c3d, cnn, "),
        (("--recipe", "tiny.toml", "--data", "no.csv"), "no.csv"),
        (("--recipe", "wrong.toml", "--data", "no.csv"), "recipe wrong.toml has the unknown key epoch"),
    ],
)
def test_what_cannot_be_done_is_one_line(here: Path, arguments: tuple[str, ...], message: str) -> None:
    Path("wrong.toml").write_text('name = "x"\nepoch = 3\n')
    done = run(*arguments)
    assert done.exit_code == 1
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("mien: reading ")]
    assert len(lines) == 1
    assert message in lines[0]


def test_training_after_folds_is_no_cross_validation(tmp_path: Path) -> None:
    words = ["train", "--recipe", "speech-base", "--data", str(tmp_path), "--after", str(tmp_path)]
    done = CliRunner().invoke(main, [*words, "--folds", "5"])
    assert done.exit_code == 2
    assert "--after trains one network from finished folds: leave out --folds" in done.stderr
    done = CliRunner().invoke(main, [*words, "--out", str(tmp_path / "run")])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "holds no finished folds over speakers" in done.stderr


def test_members_of_a_recipe_take_the_epochs_and_refuse_what_is_their_own() -> None:
    pytest.importorskip("torch")
    from mien.train.recipe import check_members, load_recipe, member_recipes

    hybrid = load_recipe("hybrid")
    own = {name: load_recipe(name).epochs for name in ("cnn-lstm", "c3d")}
    assert {name: member.epochs for name, member in member_recipes(hybrid).items()} == own
    short = replace(hybrid, epochs=2)
    check_members(hybrid, short)
    assert {member.epochs for member in member_recipes(short).values()} == {2}
    with pytest.raises(InputError, match="recipe 'hybrid' takes batch from its members: change cnn-lstm, c3d"):
        check_members(hybrid, replace(hybrid, batch=9))


def test_cuda_without_a_gpu_is_one_line(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    found = run("--recipe", "tiny.toml", "--data", "d", "--device", "cuda")
    assert found.exit_code == 1
    assert len(found.stderr.splitlines()) == 1
    assert found.stderr.rstrip().endswith("needs 1 NVIDIA GPU, but PyTorch finds none")


def test_a_logger_that_is_not_installed_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = run("--recipe", "tiny.toml", "--data", "d", "--logger", "mlflow")
    assert found.exit_code == 1
    assert found.stderr.endswith("the logger mlflow needs mlflow: pip install mlflow\n")
