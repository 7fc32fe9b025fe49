"""U-Net and DeepLabV3+ of segmentation_models_pytorch on ResNet-34, from random weights: a program of `comparison`.

As its own example on CamVid has it: Adam, a cosine that falls with every step, the Dice loss over all classes, crops of
images that are mirrored, and scaled by 0.5 to 1.5. Three things are others, as that one starts from ImageNet's weights
and takes its time: cross entropy is added, the rate rises before it falls, and its peak is five times as high. What is
told beside `contest`: "network", a class of that package; "rate"; "plain", whether the example's loss alone is taken.
Images go through the trained network whole, in float32, once.
"""

import importlib.metadata
from pathlib import Path

import albumentations
import cv2
import numpy as np
import torch
from torch.nn import functional

from benchmarks.peers import contest

try:
    import torchvision  # noqa: F401  (timm wants it)
except RuntimeError:  # that of PyPI has no operators for PyTorch without CUDA, and describes two all the same
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float limit) -> Tensor")
import segmentation_models_pytorch as smp

CROP, BATCH = 256, 8
DIVISOR = 32
"""Of the sides of images."""
PACKAGES = ("torch", "segmentation-models-pytorch", "timm", "albumentations")


def train(told):
    torch.manual_seed(told["seed"])
    network, loss = network_of(told), loss_of(told["plain"])
    optimizer = torch.optim.Adam(network.parameters(), told["rate"])
    batches, steps = iter(loader(told)), 0
    for share in contest.shares(told["began"], told["until"]):
        optimizer.param_groups[0]["lr"] = told["rate"] * contest.cosine(share)
        images, labels = next(batches)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=told["precision"] == "bfloat16"):
            logits = network(images.contiguous(memory_format=torch.channels_last))
        loss(logits.float(), labels).backward()
        optimizer.step()
        steps += 1
    torch.save(network.state_dict(), Path(told["run"], "weights.pt"))
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    contest.write_trained(told, steps, BATCH, (CROP, CROP), network, versions)


def label(told):
    network, facts = network_of(told).eval(), contest.facts(told["data"])
    network.load_state_dict(torch.load(Path(told["run"], "weights.pt")))
    contest.write_labels(told, lambda path: classes(network, normalised(contest.read(path), facts)))


def network_of(told):
    """With "cores" threads."""
    torch.set_num_threads(told["cores"])
    facts = contest.facts(told["data"])
    make = getattr(smp, told["network"])
    network = make("resnet34", encoder_weights=None, in_channels=facts["bands"], classes=len(facts["classes"]))
    return network.to(memory_format=torch.channels_last)


def loss_of(plain):
    """Function of logits [N, C, H, W] and labels [N, H, W]."""
    dice = smp.losses.DiceLoss("multiclass", from_logits=True, ignore_index=contest.IGNORE)
    if plain:
        return dice
    return lambda logits, labels: (
        dice(logits, labels) + functional.cross_entropy(logits, labels, ignore_index=contest.IGNORE)
    )


def loader(told):
    """Batches (images [N, bands, H, W] float32, labels [N, H, W] int64) without end, every image once in a round."""
    crops = Crops(told)
    return torch.utils.data.DataLoader(
        crops, BATCH, sampler=rounds(len(crops)), num_workers=told["cores"], worker_init_fn=alone
    )


def rounds(count):
    while True:
        yield from torch.randperm(count).tolist()


def alone(worker):
    """A process that makes crops draws for itself, and has one thread, for there are as many as cores."""
    cv2.setNumThreads(0)
    torch.utils.data.get_worker_info().dataset.change.set_random_seed(torch.initial_seed() % 2**32)


class Crops(torch.utils.data.Dataset):
    """Images of the training split, in memory; each is another crop whenever it is asked for."""

    def __init__(self, told):
        paths = (contest.files(told["data"], "train", part) for part in ("images", "labels"))
        self.pairs = [(contest.read(image), contest.read(label)) for image, label in zip(*paths)]
        self.facts = contest.facts(told["data"])
        self.change = albumentations.Compose(
            [
                albumentations.HorizontalFlip(p=0.5),
                albumentations.RandomScale(scale_limit=0.5, p=1),
                albumentations.PadIfNeeded(CROP, CROP, border_mode=cv2.BORDER_CONSTANT, fill_mask=contest.IGNORE),
                albumentations.RandomCrop(CROP, CROP),
                albumentations.RandomBrightnessContrast(p=0.5),
            ]
        )

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, number):
        image, label = self.pairs[number]
        changed = self.change(image=image, mask=label)
        return normalised(changed["image"], self.facts), torch.from_numpy(changed["mask"]).long()


def normalised(image, facts):
    """[H, W] or [H, W, bands] uint8 -> [bands, H, W] float32, by mean and deviation of the training split."""
    pixels = image.reshape(*image.shape[:2], facts["bands"]).astype(np.float32)
    pixels = (pixels - np.float32(facts["mean"])) / np.float32(facts["std"])
    return torch.from_numpy(pixels).permute(2, 0, 1)


@torch.inference_mode()
def classes(network, image):
    """[bands, H, W] -> [H, W] uint8; what is missing to sides that the network takes is the border's pixels."""
    height, width = image.shape[1:]
    padding = (0, -width % DIVISOR, 0, -height % DIVISOR)
    padded = functional.pad(image[None], padding, mode="replicate")
    logits = network(padded.contiguous(memory_format=torch.channels_last))
    return logits[0, :, :height, :width].argmax(0).numpy().astype(np.uint8)


if __name__ == "__main__":
    contest.main(train=train, label=label)
