"""Training starts from weights trained elsewhere, and exports them again."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import preloaded
import pytest
import torch
import torchvision
from conftest import SMOKE, Train
from safetensors.torch import load_file, save_file
from torch.nn import functional
from torchvision.transforms.functional import normalize

from alexnet_dist import registry
from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.config.schema import Experiment
from alexnet_dist.errors import UsageError
from alexnet_dist.nets.alexnet import AlexNet, initialise
from alexnet_dist.nets.torchvision_names import to_torchvision
from alexnet_dist.rng import Rng
from alexnet_dist.training.initial_weights import load_initial_weights
from alexnet_dist.training.trained_net import load_trained_net

OWT = ["--net.name", "alexnet_owt", "--data.name", "synthetic", "--data.samples", "4", "--data.normalise", "imagenet"]
MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def initialised(flags: Sequence[str]) -> tuple[AlexNet, Experiment]:
    """A net with the initial weights that training would draw without `net.weights`."""
    experiment = resolve(load(list(flags)), 1)
    net = AlexNet(table_of(experiment.net)).eval()
    initialise(net, Rng(experiment.run.seed))
    return net, experiment


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[torchvision.models.AlexNet, Path]:
    """torchvision's AlexNet, and the file that its user saved."""
    torch.manual_seed(7)
    model = torchvision.models.alexnet().eval()
    path = tmp_path_factory.mktemp("theirs") / "alexnet.pth"
    torch.save(model.state_dict(), path)
    return model, path


@torch.no_grad()
def test_torchvisions_weights_give_torchvisions_logits(
    theirs: tuple[torchvision.models.AlexNet, Path], tmp_path: Path
) -> None:
    model, path = theirs
    images = normalize(torch.rand(2, 3, 224, 224), MEAN, DEVIATION)
    save_file(torch.load(path, weights_only=True), tmp_path / "net.safetensors")
    for file in (path, tmp_path / "net.safetensors"):
        net, experiment = initialised([*OWT, "--net.weights", str(file)])
        lines = load_initial_weights(net, experiment)
        assert lines == [f"net.weights: {file} (torchvision's AlexNet): all layers taken"]
        assert torch.allclose(net(images), model(images), rtol=0, atol=1e-5)


def test_fine_tuned_on_ranks_and_given_back(
    theirs: tuple[torchvision.models.AlexNet, Path], train: Train, tmp_path: Path
) -> None:
    """Other classes, two strategies; the first loss is what torchvision's module computes of the same images."""
    _, path = theirs
    flags = [*OWT, "--net.classes", "10", "--net.dropout", "0", "--net.weights", str(path), "--optim.name", "sgd"]
    flags += ["--optim.lr", "1e-2", "--train.global_batch", "4", "--train.max_steps", "3", "--train.epochs", "3"]
    flags += ["--tracking.wandb", "false", "--train.evaluate", "false"]
    runs = [train(2, [*flags, "--strategy.name", name], name=name) for name in ("ddp", "split")]
    for run in runs:
        assert run.code == 0, run.output
        assert "initialised anew: fc8 (1000 classes in the file, 10 here); all other layers taken" in run.output
        assert "warning: net.weights" not in run.output
    ddp, split = ([line["loss"] for line in run.metrics()] for run in runs)
    assert ddp == pytest.approx(split, rel=1e-4) and ddp[2] != ddp[0]

    start, experiment = initialised(flags)
    load_initial_weights(start, experiment)
    model = torchvision.models.alexnet(num_classes=10).eval()
    model.load_state_dict(to_torchvision(start.state_dict()))
    part = registry.data_sets["synthetic"].open(experiment.data, start.table, Rng(0), torch.device("cpu")).train
    with torch.no_grad():
        logits = model(normalize(part.pixels / 255, MEAN, DEVIATION))
    assert ddp[0] == pytest.approx(functional.cross_entropy(logits, part.labels).item(), rel=1e-5)

    back = tmp_path / "back.pth"
    words = ["export", "--checkpoint", str(runs[1].folder), "--format", "torchvision", "--output", str(back)]
    done = preloaded.command(*words)
    assert done.returncode == 0, done.stderr
    model.load_state_dict(torch.load(back, weights_only=True))
    tuned, images = load_trained_net(runs[1].folder).net, torch.rand(2, 3, 224, 224)
    with torch.no_grad():
        assert torch.allclose(tuned(images), model(images), rtol=0, atol=1e-5)
    assert not torch.equal(tuned.get_parameter("conv1.weight"), start.get_parameter("conv1.weight"))


def test_a_run_as_a_start_is_read_once(smoke_run: Path, train: Train, tmp_path: Path) -> None:
    """Its folder may be gone when the new run resumes."""
    shutil.copytree(smoke_run, tmp_path / "first")
    flags = [*SMOKE, "--tracking.wandb", "false", "--train.evaluate", "false", "--strategy.name", "single"]
    flags += ["--net.weights", str(tmp_path / "first"), "--optim.lr", "1e-9", "--train.max_steps"]
    run = train(1, [*flags, "1"])
    assert run.code == 0 and "(step 20 of a run): all layers taken" in run.output
    before, after = (load_trained_net(folder).net.state_dict() for folder in (smoke_run, run.folder))
    assert all(torch.allclose(after[name], before[name], rtol=0, atol=1e-6) for name in before)
    shutil.rmtree(tmp_path / "first")
    again = train(1, [*flags, "2", "--run.resume", "auto"])
    assert again.code == 0 and [line["step"] for line in again.metrics()] == [1, 2], again.output
    missing = train(1, [*flags, "2"], name="missing")
    assert missing.code == 2 and f"net.weights: {tmp_path / 'first'}: No such file or directory" in missing.errors()[0]
    assert [path.name for path in missing.folder.iterdir()] == ["exit.json"]


SMALL = ["--net.name", "alexnet_small", "--data.name", "synthetic"]


def start_of(flags: Sequence[str], file: Path) -> list[str]:
    net, experiment = initialised([*flags, "--net.weights", str(file)])
    before = {name: value.clone() for name, value in net.state_dict().items()}
    try:
        return load_initial_weights(net, experiment)
    except UsageError as error:
        assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
        return [str(error)]


def test_what_is_taken_is_told(tmp_path: Path) -> None:
    net, experiment = initialised([*SMALL, "--net.activation", "tanh"])
    weights, file = net.state_dict(), tmp_path / "net.safetensors"
    settings = {"net": json.dumps(experiment.net.model_dump()), "normalise": "[[0.5], [0.5]]"}
    save_file(weights, file, settings)
    assert start_of([*SMALL, "--net.activation", "tanh", "--data.normalise", "[[0.5], [0.5]]"], file) == [
        f"net.weights: {file} (an export): all layers taken"
    ]
    assert start_of([*SMALL, "--net.classes", "12"], file) == [
        f"net.weights: {file} (an export): initialised anew: fc8 (10 classes in the file, 12 here); "
        "all other layers taken",
        'warning: net.weights: these weights were trained with net.activation "tanh"',
        "warning: net.weights: these weights were trained with data.normalise [[0.5], [0.5]], here it is none",
    ]
    (line,) = start_of([*SMALL, "--net.towers", "1", "--net.norm", "false"], file)
    assert line.startswith(f"net.weights: {file}: conv2.weight is 32 x 8 x 3 x 3 in the file and 32 x 16 x 3 x 3 in")
    assert 'set net.towers 2, net.norm true, net.activation "tanh"' in line

    features = {name: value for name, value in weights.items() if name.startswith("conv")}
    torch.save({**features, "bn1.weight": torch.ones(3)}, tmp_path / "part.pt")
    assert start_of(SMALL, tmp_path / "part.pt") == [
        f"net.weights: {tmp_path / 'part.pt'} (a state dict): initialised anew: fc6 (not in the file), "
        "fc7 (not in the file), fc8 (not in the file); all other layers taken; not used: bn1"
    ]


def test_a_foreign_file_is_one_line(tmp_path: Path) -> None:
    net, _ = initialised(SMALL)
    torch.save(net, tmp_path / "module.pt")  # needs unpickling of code, which could do anything
    torch.save({"epoch": 3, "state_dict": net.state_dict()}, tmp_path / "training.pt")
    torch.save({"other.weight": torch.ones(3)}, tmp_path / "other.pt")
    (tmp_path / "text").write_text("weights")
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/null")
    os.mkfifo(tmp_path / "pipe")
    save_file(net.state_dict(), tmp_path / "whole")
    (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:1000])
    assert load_file(tmp_path / "whole").keys() == net.state_dict().keys()
    neither = "is neither safetensors nor a state dict of torch.save"
    reasons = {
        "module.pt": neither, "text": neither, "empty": neither, "cut": neither,
        "training.pt": "holds no state dict", "other.pt": "has no layer of alexnet_small (it begins with other.weight)",
        "folder": "is neither a checkpoint", "none": "No such file or directory",
        "device": "is no file, but a device or a pipe", "pipe": "is no file, but a device or a pipe",
    }  # fmt: skip
    for name, reason in reasons.items():
        (line,) = start_of(SMALL, tmp_path / name)
        assert line.startswith(f"net.weights: {tmp_path / name}: ") and reason in line
