"""Upsampling, down-sampling, ASPP, augmentation and cell of ResNet-DUC on Cityscapes: duc_hdc.md Table 1.

`EXP=duc_table1:row5`. Paper: the figures below, mIoU on val. Otherwise `duc_cityscapes:patch544`, which is row 8. The
baselines (rows 1 and 2), which have no cells, are compared with labels at their own 1/8 or 1/4 resolution (section
4.1.1). Row 3 has no ASPP: one convolution that is not dilated.

"Augmentation" is the twelve patches of every frame. Without it (rows 3 and 4) crops lie anywhere in the frame, and
every frame gives one, so that the 20 epochs are 4958 updates. The paper may also have trained these rows as long as the
others, for it compares the patches with random crops, where "nearby regions may be visited repeatedly":
`ARGS=--config.train.steps=59500`.
"""

from experiments import base
from experiments.duc import duc_cityscapes

# upsampling, output stride ("DS"), ASPP, whether in patches, cell, then the paper's mIoU (%)
ROWS = {
    "row1": ("bilinear", 8, 4, True, 1, 72.3),
    "row2": ("bilinear", 4, 4, True, 1, 70.9),
    "row3": ("duc", 8, 0, False, 1, 71.9),
    "row4": ("duc", 8, 4, False, 1, 72.8),
    "row5": ("duc", 8, 4, True, 1, 74.3),
    "row6": ("duc", 4, 4, True, 1, 73.7),
    "row7": ("duc", 8, 6, True, 1, 74.5),
    "row8": ("duc", 8, 6, True, 2, 74.7),
}


def get_config(arg=None):
    """`arg`: "row1" to "row8". Raises ValueError for another."""
    upsampling, output_stride, aspp, patches, cell, miou = base.choose(ROWS, arg)
    c = duc_cityscapes.get_config("patch544")
    c.model.update(upsampling=upsampling, output_stride=output_stride, aspp=aspp, cell=cell)
    if not patches:
        c.dataset.options.patches = ""
        c.train.steps = duc_cityscapes.steps(duc_cityscapes.FRAMES, 1, c.train.batch_size)
    c.paper.update(row=f"Table 1 row {arg[len('row') :]}", miou=miou)
    return c
