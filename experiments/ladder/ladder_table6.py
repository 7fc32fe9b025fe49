"""Ladders on PASCAL VOC: ladder_densenet.md Table 6.

`EXP=ladder_table6:row3`. Paper: the figures below, on val. "AUG" (row 3) trains on the augmented set, rows 1 and 2 on
the 1,464 images of train alone. Otherwise `ladder169_voc`.
"""

from experiments import base
from experiments.ladder import ladder169_voc

# options of the model, training split, then the paper's mIoU and accuracy (%)
ROWS = {
    "row1": ({"encoder": "resnet50", "split": ()}, "train", 62.97, 91.56),
    "row2": ({}, "train", 70.21, 93.29),
    "row3": ({}, "trainaug", 78.01, 95.11),
}


def get_config(arg=None):
    """`arg`: "row1" to "row3". Raises ValueError for another."""
    options, split, miou, accuracy = base.choose(ROWS, arg)
    c = ladder169_voc.get_config()
    c.model.update(options)
    c.dataset.train_split = split
    c.paper.update(row=f"Table 6 row {arg[len('row') :]}", miou=miou, accuracy=accuracy)
    return c
