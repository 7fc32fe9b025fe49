"""Ladder DenseNet-169 on Cityscapes at full size, with batch norm frozen or not: ladder_densenet.md Table 4.

`EXP=ladder_table4:row1`. Paper: the figures below, on val. Otherwise `ladder169_cityscapes`; both start from
runs/ladder_table1_row10, or from `ARGS="--config.train.init=..."`.
"""

from experiments import base
from experiments.ladder import ladder169_cityscapes

# whether batch norm is frozen, then the paper's mIoU and accuracy (%)
ROWS = {
    "row1": (True, 75.24, 96.02),
    "row2": (False, 75.75, 95.88),
}


def get_config(arg=None):
    """`arg`: "row1" or "row2". Raises ValueError for another."""
    frozen, miou, accuracy = base.choose(ROWS, arg)
    c = ladder169_cityscapes.get_config()
    c.train.freeze_batch_norm = "all" if frozen else ""
    c.paper.update(row=f"Table 4 row {arg[len('row') :]}", miou=miou, accuracy=accuracy)
    return c
