"""PyTorch measured, eager or compiled: an update of DID, or the labelling of one image. A process of `turns`.

As did_tf does it: four crops, channels last, the cross-entropy of three outputs at the image's size, Adam with an L2
penalty. In float32, or in bfloat16 by autocast.
"""

import contextlib
import os

import numpy as np
import torch
from torch.nn import functional

from benchmarks import worker
from benchmarks.peers.network import OUTPUTS, Did


def prepare(told):
    """({"parameters": of the network, "version": of PyTorch}, function to time)."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    with np.load(told["reference"]) as reference:
        model = carried(reference).to(memory_format=torch.channels_last)
    parameters = sum(value.numel() for value in model.parameters())
    make = _training if told["kind"] == "training" else _inference
    call = make(model, told, _precision(told["precision"]))
    return {"parameters": parameters, "version": torch.__version__}, call


def carried(reference):
    """`Did` with the weights of did_tf's network, see `reference.py`."""
    weights = {key.removeprefix("weight:"): reference[key] for key in reference.files if key.startswith("weight:")}
    model = Did(int(reference["classes"]), reference["mean"].tolist(), reference["std"].tolist())
    model.take(weights)
    return model


def total_loss(outputs, label):
    """The mean of the three outputs' cross-entropies."""
    return sum(functional.cross_entropy(outputs[name], label) for name in OUTPUTS) / len(OUTPUTS)


def _training(model, told, precision):
    model.train()
    classes, shape = model.layers["head_main_conv"].out_channels, (told["batch"], 3, told["side"], told["side"])
    image = (torch.rand(shape) * 255).to(memory_format=torch.channels_last)
    label = torch.randint(0, classes, (shape[0], *shape[2:]))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, eps=2.5e-4, weight_decay=1e-4, fused=True)

    def loss():
        with precision():
            outputs = model(image)
        return total_loss(outputs, label)

    loss = torch.compile(loss) if told["compiled"] else loss

    def step():
        optimizer.zero_grad(set_to_none=True)
        total = loss()
        total.backward()
        optimizer.step()
        return total.item()

    return step


def _inference(model, told, precision):
    model.eval()
    image = (torch.rand((1, 3, told["side"], told["side"])) * 255).to(memory_format=torch.channels_last)

    def forward():
        with precision():
            return functional.softmax(model(image)["main"], 1)

    forward = torch.compile(forward) if told["compiled"] else forward

    def call():
        with torch.inference_mode():
            return forward().numpy()

    return call


def _precision(name):
    """Function that makes the context in which a network computes in that precision."""
    if name == "float32":
        return contextlib.nullcontext
    return lambda: torch.autocast("cpu", dtype=torch.bfloat16)


if __name__ == "__main__":
    worker.serve(prepare)
