"""Depth, upsampling and coarse data of ResNet-DUC-HDC on Cityscapes: duc_hdc.md Table 3.

`EXP=duc_table3:row5`. Paper: the figures below, mIoU on val, without CRF. Otherwise `duc_cityscapes:patch880`, with
dilation "bigger" for HDC. Row 2 is Table 2's row 4.

- "Deconv" is the direct one (x8) with plain dilation: row 1's 75.1 % is that of section 4.1.2. The second one there, x2
  then x4, reached 75.0 %: `EXP=duc_table3:row1 ARGS=--config.model.upsampling=deconv2x4`. Kernels and channels are not
  given, but about as many parameters as DUC has: ours are 77.6M (x8) and 76.6M (x2, x4), beside 76.1M. Their own
  resolution is the image's, and so is that of their loss.
- ResNet-152 first learns its batch norm for 10 epochs, and goes on for 20 with that fixed: one run of 30 epochs, with
  `train.freeze_batch_norm_from`, whose learning rate decays over all of them.
- Rows 3 and 6 train on the fine frames of train and the coarse ones of train_extra together, all in seven patches: the
  paper says "a combination", and neither in which order nor for how many epochs; we take the same 20. It counts 20,000
  coarse frames, the archive has 19,998.
"""

from experiments import base
from experiments.duc import duc_cityscapes

COARSE_FRAMES = 19_998

# depth, upsampling, dilation, whether with coarse data, then the paper's mIoU (%)
ROWS = {
    "row1": (101, "deconv8", "plain", False, 75.1),
    "row2": (101, "duc", "bigger", False, 76.4),
    "row3": (101, "duc", "bigger", True, 76.2),
    "row4": (152, "deconv8", "plain", False, 76.4),
    "row5": (152, "duc", "bigger", False, 76.7),
    "row6": (152, "duc", "bigger", True, 77.1),
}


def get_config(arg=None):
    """`arg`: "row1" to "row6". Raises ValueError for another."""
    depth, upsampling, dilation, coarse, miou = base.choose(ROWS, arg)
    c = duc_cityscapes.get_config("patch880")
    c.model.update(depth=depth, upsampling=upsampling, dilation=dilation)
    frames = duc_cityscapes.FRAMES + COARSE_FRAMES * coarse
    if coarse:
        c.dataset.train_split = "train+train_extra"
        c.train.steps = duc_cityscapes.steps(frames, 7, c.train.batch_size)
    if depth == 152:
        duc_cityscapes.learn_batch_norm(c, frames, 7)
    c.paper.update(row=f"Table 3 row {arg[len('row') :]}", miou=miou)
    return c
