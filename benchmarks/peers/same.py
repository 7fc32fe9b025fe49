"""Program: is PyTorch's network did_tf's? `python -m benchmarks.peers.same FOLDER`, of `benchmarks.peers.reference`.

Compares the number of parameters, and in float32 and in float64 the logits of all outputs, and in training without
dropout the loss and the gradient of every weight. Prints the largest differences as JSON, and writes network.onnx for
ONNX Runtime: pixels [1, 3, H, W] -> the probabilities of the output that counts.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.peers.network import OUTPUTS, Did
from benchmarks.peers.pytorch import carried, total_loss


class Labels(nn.Module):
    """What is exported."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, image):
        return torch.softmax(self.model(image)["main"], 1)


def main():
    folder, side = Path(sys.argv[1]), int(sys.argv[2])
    with np.load(folder / "network.npz") as reference:
        found = {}
        for precision in ("float64", "float32"):
            torch.set_default_dtype(getattr(torch, precision))
            found.update(differences(carried(reference), reference, precision))
        print(json.dumps(found))
        model = carried(reference).eval()
    image = torch.zeros(1, 3, side, side)
    warnings.simplefilter("ignore")
    torch.onnx.export(Labels(model), (image,), folder / "network.onnx", input_names=["image"], verbose=False)


def differences(model, reference, precision):
    """{"PRECISION: what": largest difference}, that of the gradient relative to its norm.

    Args:
      model: in that precision.
      reference: of `reference.py`.
      precision: "float32" or "float64".
    """
    theirs = {key.split(":", 1)[1]: reference[key] for key in reference.files if key.startswith(f"{precision}:")}
    image = torch.from_numpy(reference["image"].astype(precision)).permute(0, 3, 1, 2)
    image = image.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        logits = model.eval()(image)
    found = {
        f"logits of {name}": _apart(logits[name].permute(0, 2, 3, 1).numpy(), theirs[f"logits:{name}"])
        for name in OUTPUTS
    }
    model.train().dropout = 0.0
    loss = total_loss(model(image), torch.from_numpy(reference["label"]).long())
    loss.backward()
    found["loss"] = _apart(loss.item(), theirs["loss"])
    slopes = {key.removeprefix("gradient:"): value for key, value in theirs.items() if key.startswith("gradient:")}
    found["gradient"] = _gradient_apart(model, Did.named(slopes))
    found["parameters"] = abs(sum(x.numel() for x in model.parameters()) - sum(x.size for x in slopes.values()))
    return {f"{precision}: {what}": value for what, value in found.items()}


def _gradient_apart(model, theirs):
    mine = {name: value.grad for name, value in model.named_parameters()}
    apart = sum(float((mine[name] - value).square().sum()) for name, value in theirs.items())
    return (apart / sum(float(value.square().sum()) for value in theirs.values())) ** 0.5


def _apart(mine, theirs):
    return float(np.max(np.abs(mine - theirs)))


if __name__ == "__main__":
    main()
