"""SUNet-64, -128 and -7-128 on ImageNet: the classification networks of sunet.md Tables 1 and 2.

Paper: the errors and parameters below, on val (224x224 from the middle of images resized to 256). Our parameters are
6.91M, 24.70M and 37.73M: of the 24.6M that the paper prints for SUNet-128, the layers of its Table 1 explain 24.70M.
The third block of SUNet-7-128 has 1792 features, since Table 1 is illegible there and the authors' code has 2048, with
which the network has 39.1M. Moving statistics as in PyTorch (0.9). Colours change in brightness, contrast and
saturation by 0.4, and by noise along their principal components, as in the authors' code.

  make train EXP=sunet_imagenet:64 && make evaluate EXP=sunet_imagenet:64
"""

import math

from experiments import base

IMAGES, EPOCHS = 1_281_167, 100

# filters, modules in blocks 2 and 3, features of the four blocks, batch size, then row of the paper's Table 2, its
# top-1 and top-5 errors (%) and parameters (M)
ROWS = {
    "64": (64, 4, (256, 512, 768, 1024), 256, "row 6", 29.28, 10.21, 6.9),
    "128": (128, 4, (512, 1024, 1536, 2048), 256, "row 7", 23.64, 7.42, 24.6),
    "7-128": (128, 7, (512, 1280, 1792, 2304), 212, "row 8", 22.47, 6.85, 37.7),
}
LARGEST = "7-128"


def network(variant):
    """The options of the model that make it one of `ROWS`. Raises ValueError for another."""
    filters, depth, widths, *_ = base.choose(ROWS, variant)
    return {"name": "sunet", "filters": filters, "depth": depth, "widths": widths}


def get_config(arg=None):
    """`arg`: "64", "128" or "7-128", the default. Raises ValueError for another."""
    variant = arg or LARGEST
    c = base.get_config()
    c.dataset.name = "imagenet"
    c.model.update(network(variant), task="classification", bn_momentum=0.9)
    c.data.crop = (224, 224)
    c.data.area = (0.08, 1.0)
    c.data.brightness = 0.8
    c.data.contrast = 0.4
    c.data.saturation = 0.4
    c.data.colour_noise = 0.1
    c.data.cache = False
    c.optimizer.name = "sgd"
    c.optimizer.options.update(momentum=0.9, nesterov=True)
    c.optimizer.weight_decay = 5e-4
    c.schedule.learning_rate = 0.01
    c.schedule.boundaries = (0.3, 0.6, 0.9)
    *_, batch, row, top1, top5, parameters = ROWS[variant]
    c.train.batch_size = batch
    steps = math.ceil(IMAGES / batch)
    c.train.steps = EPOCHS * steps
    c.train.validate_every = steps
    c.paper.update(row=f"Table 2 {row}", data="ImageNet val", split="val")
    c.paper.update(top1_error=top1, top5_error=top5, parameters=parameters)
    return c
