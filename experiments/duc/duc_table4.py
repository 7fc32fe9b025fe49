"""ResNet-DUC-HDC on Cityscapes test: duc_hdc.md Table 4.

`EXP=duc_table4:row5`. Paper: the figures below, mIoU on test. Rows 1 to 4 and 6 are other people's; the lines "fine"
and "coarse" are not counted.

Rows 5 and 7 we read as the ResNet-101 networks of `duc_table3`, rows 2 and 3: section 4.1.4 begins its "better network"
(row 8) from "the original ResNet-101". That has three 3x3 convolutions in place of the 7x7 one, is otherwise row 7, and
uses no CRF. Its ImageNet weights can't be downloaded: they are those of `imagenet:resnet101_3x3`;
`ARGS=--config.train.encoder=runs/other` starts from another run. Not said: whether the others are after a CRF, and
whether val was trained on. Here neither.

  make train EXP=imagenet:resnet101_3x3 && make train EXP=duc_table4:row8
  make train EXP=duc_table4:row5 && make submit EXP=duc_table4:row5 SPLIT=test
"""

from experiments import base
from experiments.duc import duc_table3

BETTER = "row8"
# row of Table 3, then the paper's mIoU (%)
ROWS = {
    "row5": ("row2", 77.6),
    "row7": ("row3", 78.5),
    BETTER: ("row3", 80.1),
}


def get_config(arg=None):
    """`arg`: "row5", "row7" or "row8". Raises ValueError for another."""
    row, miou = base.choose(ROWS, arg)
    c = duc_table3.get_config(row)
    if arg == BETTER:
        c.model.stem = "3x3"
        c.train.encoder = "runs/imagenet_resnet101_3x3"
    c.paper = {"row": f"Table 4 row {arg[len('row') :]}", "data": "Cityscapes test", "split": "test", "miou": miou}
    return c
