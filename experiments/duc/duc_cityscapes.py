"""ResNet-DUC on Cityscapes, the recipe of duc_hdc.md sections 4.1.1 and 4.1.2 that Tables 1 to 3 share.

Paper: 74.7 % mIoU on val from patches of 544x544 (`EXP=duc_cityscapes:patch544`), 75.7 % from 880x880 (`patch880`),
the best model before hybrid dilation; no CRF. ResNet-101 from ImageNet with its statistics frozen, ASPP-6, cell 2, 20
epochs. How it is tested isn't said: here on whole frames at one scale.

Every frame gives twelve overlapping patches of 800x800, out of which crops of 544x544 are cut, or crops of 880x880
around seven centres (row 512; columns 256, 512, ..., 1792), each moved by up to 80 pixels; what lies beyond the frame
is filled with the mean and ignored, as in the authors' code. The paper doesn't say how the twelve lie: 3 rows and 4
columns, see data_pipelines/datasets/cityscapes.py. An epoch is all patches of all frames.

What we do otherwise, and why:
- With cell 2, predictions are compared with labels at half resolution, as in the authors' code; the paper doesn't say.
- The loss is the mean over pixels, as in the authors' code; section 4 says sum.
- Pairs are mirrored, as in the authors' code; their released settings scale them too, which the paper doesn't mention.

  make train EXP=duc_cityscapes:patch544 && make evaluate EXP=duc_cityscapes:patch544
"""

from experiments import base

FRAMES, EPOCHS = 2975, 20
LEARNT = 10
"""Epochs before these in which batch norm is learnt, of ResNet-152 alone."""

# crop, patches and their number in a frame, batch, then the place in the paper and its mIoU (%)
ROWS = {
    "patch544": (544, "twelve", 12, 12, "Table 1 row 8", 74.7),
    "patch880": (880, "seven", 7, 4, "section 4.1.2, Bigger Patch Size", 75.7),
}


def get_config(arg=None):
    """`arg`: "patch544" or "patch880". Raises ValueError for another."""
    crop, patches, count, batch, row, miou = base.choose(ROWS, arg)
    c = base.get_config()
    c.dataset.name = "cityscapes"
    c.dataset.options.patches = patches
    c.model = {"name": "duc", "depth": 101, "dilation": "plain", "aspp": 6, "cell": 2}
    c.data.crop = (crop, crop)
    c.data.scale = (1.0, 1.0)
    c.data.aspect = 0.0
    c.data.cache = False  # 25 GB
    c.loss.resolution = "features"
    c.optimizer.name = "sgd"
    c.optimizer.options.momentum = 0.9
    c.optimizer.weight_decay = 5e-4
    c.schedule.name = "poly"
    c.schedule.learning_rate = 2.5e-4
    c.train.batch_size = batch
    c.train.steps = steps(FRAMES, count, batch)
    c.train.validate_every = 5000
    c.train.encoder = "imagenet"
    c.train.freeze_batch_norm = "all"
    c.paper = {"row": row, "data": "Cityscapes val", "split": "val", "miou": miou}
    return c


def steps(frames, patches, batch, epochs=EPOCHS):
    """Updates in the paper's epochs, or in others, where every frame gives so many patches."""
    return epochs * frames * patches // batch


def learn_batch_norm(c, frames, patches):
    """Gives `c` the epochs in which ResNet-152 learns its batch norm, before those in which that is fixed."""
    c.train.freeze_batch_norm_from = steps(frames, patches, c.train.batch_size, LEARNT)
    c.train.steps = steps(frames, patches, c.train.batch_size, LEARNT + EPOCHS)
