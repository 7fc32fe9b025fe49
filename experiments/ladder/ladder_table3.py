"""Ladders without ImageNet on Cityscapes at half size: ladder_densenet.md Table 3.

`EXP=ladder_table3:row2`. Paper: the figures below, on val at half size. Otherwise `ladder121_cityscapes`; the encoder
learns at the full rate, as a fifth of it is for the "pre-trained network part" (section 5.1).
"""

from experiments import base
from experiments.ladder import ladder121_cityscapes

# options of the model, then the paper's mIoU and accuracy (%)
ROWS = {
    "row1": ({"encoder": "resnet50", "split": ()}, 55.49, 92.29),
    "row2": ({"encoder": "densenet121"}, 62.32, 93.63),
}


def get_config(arg=None):
    """`arg`: "row1" or "row2". Raises ValueError for another."""
    options, miou, accuracy = base.choose(ROWS, arg)
    c = ladder121_cityscapes.get_config()
    c.model.update(options)
    c.optimizer.multipliers = {}
    c.train.encoder = ""
    c.paper.update(row=f"Table 3 row {arg[len('row') :]}", miou=miou, accuracy=accuracy)
    return c
