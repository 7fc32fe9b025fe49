"""Upsampling, down-sampling, ASPP and cell of ResNet-DUC on Cityscapes: duc_hdc.md Table 1, `EXP=duc_table1:row5`.

Paper: the mIoU below on val. The recipe is `duc_cityscapes:patch544`. The baselines are compared with labels at their
own 1/8 or 1/4 resolution (section 4.1.1).

Rows 3 and 4 are the paper's without data augmentation, which are the twelve patches: random crops of the frame instead.
We read this as the same number of updates, for the text compares the patches with random crops, which "may be visited
repeatedly"; 20 epochs of 2975 single crops would be `--config.train.steps=4958`. As the twelve patches aren't there yet
(`duc_cityscapes`), row 5 trains as row 4 does for now. Row 3 has no ASPP: one convolution that is not dilated.
"""

from experiments import base, duc_cityscapes

# upsampling, output stride ("DS"), ASPP, cell, then the paper's mIoU (%)
ROWS = {
    "row1": ("bilinear", 8, 4, 1, 72.3),
    "row2": ("bilinear", 4, 4, 1, 70.9),
    "row3": ("duc", 8, 0, 1, 71.9),
    "row4": ("duc", 8, 4, 1, 72.8),
    "row5": ("duc", 8, 4, 1, 74.3),
    "row6": ("duc", 4, 4, 1, 73.7),
    "row7": ("duc", 8, 6, 1, 74.5),
    "row8": ("duc", 8, 6, 2, 74.7),
}


def get_config(arg=None):
    """`arg`: "row1" to "row8". Raises ValueError for another."""
    upsampling, output_stride, aspp, cell, miou = base.choose(ROWS, arg)
    c = duc_cityscapes.get_config("patch544")
    c.model.update(upsampling=upsampling, output_stride=output_stride, aspp=aspp, cell=cell)
    c.paper.update(row=f"Table 1 row {arg[len('row') :]}", miou=miou)
    return c
