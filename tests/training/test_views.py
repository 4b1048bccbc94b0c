"""Ten views in training and evaluation, for several strategies; the mean image is saved in the checkpoint."""

from pathlib import Path

import preloaded
import pytest
import torch
from conftest import SMOKE, Train
from PIL import Image
from safetensors.torch import load_file

from alexnet_dist.data.sets.fashion_mnist import CLASS_NAMES, read_fashion_mnist
from alexnet_dist.training.export import export
from alexnet_dist.training.initial_weights import read_trained_weights
from alexnet_dist.training.predict import Predictor
from alexnet_dist.training.trained_net import load_trained_net

AUGMENTED = ["--data.augment=alexnet", "--data.crop=24", "--data.normalise=mean_image", "--optim.lr=1e-3"]
TEN = [*AUGMENTED, "--train.evaluate_views=10", "--train.evaluate_samples=101", "--tracking.wandb=false"]


def evaluated(folder: Path, strategy: str) -> str:
    """On two ranks."""
    done = preloaded.command("evaluate", "--checkpoint", str(folder), "--strategy.name", strategy, ranks=2)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def by_hand(folder: Path, pixels: torch.Tensor, labels: torch.Tensor, mean_image: torch.Tensor) -> tuple[float, float]:
    """Accuracy and loss of averaged probabilities, view by view."""
    net = load_trained_net(folder).net
    probabilities = torch.zeros(len(labels), 10, dtype=torch.float64)
    for top, left in ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2)):
        square = pixels[:, :, top : top + 24, left : left + 24]
        square = torch.nn.functional.interpolate(square, (32, 32), mode="bilinear", antialias=True).float()
        centre = mean_image[None, :, 2:26, 2:26]
        centre = torch.nn.functional.interpolate(centre, (32, 32), mode="bilinear", antialias=True)
        for view in (square, square.flip(3)):
            with torch.no_grad():
                probabilities += net(view - centre).double().softmax(1) / 10
    picked = probabilities[torch.arange(len(labels)), labels]
    return float((probabilities.argmax(1) == labels).double().mean()), float(-picked.log().mean())


@pytest.mark.usefixtures("fashion_mnist")
def test_ten_views_of_every_strategy_and_the_mean_image(train: Train, tmp_path: Path, fashion_mnist: Path) -> None:
    run = train(1, [*SMOKE, *TEN])
    assert run.code == 0, run.output
    parts = read_fashion_mnist(str(fashion_mnist))
    pixels, labels = (values[:101] for values in parts["t10k"])
    mean_image = parts["train"][0].double().mean(0).float()
    accuracy, loss = by_hand(run.folder, pixels, labels, mean_image)
    found = run.summary()["eval"]
    assert (found["top1"], found["unique_samples"]) == (pytest.approx(accuracy), 101)
    assert found["loss"] == pytest.approx(loss, rel=1e-4)
    line = f"step 20: loss {found['loss']:.4f}, accuracy {found['top1']:.2%}"
    for strategy in ("split", "fsdp"):
        assert line in evaluated(run.folder, strategy)

    trained = load_trained_net(run.folder)
    torch.testing.assert_close(trained.mean_image, mean_image)
    export(run.folder, "safetensors", tmp_path / "net.safetensors")
    subtracted = trained.transform().mean_image
    assert subtracted is not None
    assert torch.equal(load_file(tmp_path / "net.safetensors")["input.mean_image"], subtracted[0])
    assert read_trained_weights(tmp_path / "net.safetensors").weights.keys() == trained.net.state_dict().keys()
    with torch.no_grad():
        expected = trained.net(trained.transform()(pixels[:1])).softmax(1).max(1)
    Image.fromarray(pixels[0, 0].numpy()).save(tmp_path / "one.png")
    name, probability = Predictor(run.folder).classify(tmp_path / "one.png")[0]
    assert name == CLASS_NAMES[int(expected.indices)]
    assert probability == pytest.approx(float(expected.values), rel=1e-4)
