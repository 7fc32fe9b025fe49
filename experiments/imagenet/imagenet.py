"""Encoders on ImageNet, for segmentation to start from: ResNet-18 to -152, DenseNet-121 to -201, and DID's own.

`EXP=imagenet:resnet101_3x3`. Paper: no recipe; the papers took weights that others had trained. Theirs is that of the
official PyTorch implementation, whose figures sunet.md Table 2 quotes, and of He et al. and Huang et al.: SGD with
momentum 0.9, 0.1 divided by 10 after 30 and 60 of 90 epochs, batch 256, weight decay 1e-4; crops of 224 out of boxes of
8 to 100 % of the image. `ladder_table2` and `sunet_table2` have the figures of these networks.

"_3x3" is the stem of duc_hdc.md section 4.1.4, the "better network", with the epsilon of DUC's batch norm: what
`duc_table4:row8` starts from. "did" is the encoder as DID has it, dilated, on its sizes 16n+1. Other bands than red,
green and blue: see docs/reference/datasets.md, imagenet.

  make train EXP=imagenet:resnet101 && make train EXP=fcrn101_voc ARGS=--config.train.encoder=runs/imagenet_resnet101
"""

import math

from experiments import base

IMAGES, EPOCHS, BATCH = 1_281_167, 90, 256

_RESNETS = {f"resnet{depth}": {"encoder": f"resnet{depth}"} for depth in (50, 101, 152)}
# row: options of the model
ROWS = {
    **{f"resnet{depth}": {"encoder": f"resnet{depth}"} for depth in (18, 34)},
    **_RESNETS,
    **{f"{row}_3x3": {**options, "stem": "3x3", "bn_epsilon": 1e-6} for row, options in _RESNETS.items()},
    **{f"densenet{depth}": {"encoder": f"densenet{depth}"} for depth in (121, 169, 201)},
    "densenet161": {"encoder": "densenet121", "growth": 48, "units": (6, 12, 36, 24)},
    "did": {"name": "did", "task": "classification"},
}


def get_config(arg=None):
    """`arg`: one of `ROWS`. Raises ValueError for another."""
    options = base.choose(ROWS, arg)
    c = base.get_config()
    c.dataset.name = "imagenet"
    c.model = {"name": "classifier", **options}
    side = 225 if arg == "did" else 224
    c.data.crop = (side, side)
    c.data.area = (0.08, 1.0)
    c.data.cache = False
    c.optimizer.name = "sgd"
    c.optimizer.options.momentum = 0.9
    c.schedule.learning_rate = 0.1
    c.schedule.boundaries = (1 / 3, 2 / 3)
    steps = math.ceil(IMAGES / BATCH)
    c.train.batch_size = BATCH
    c.train.steps = EPOCHS * steps
    c.train.validate_every = steps
    return c
