"""SUNets on PASCAL VOC: sunet.md Table 3.

`EXP=sunet_table3:row2`. Paper: mIoU on val, of row 1 below, of the others in `sunet_voc`, whose three networks these
are.

Row 1 is a dilated ResNet-101 at output stride 16, "[15]": its figure is that of DeepLabv3's paper, of a network
without pyramid. Here it is trained by the recipe of the SUNets, from ImageNet: the last stage dilated by 2, a linear
layer in place of the classifier, bilinear.
"""

from experiments import base
from experiments.sunet import sunet_voc

RESNET = "row1"
ROWS = {RESNET: "7-128", "row2": "64", "row3": "128", "row4": "7-128"}


def get_config(arg=None):
    """`arg`: "row1" to "row4". Raises ValueError for another."""
    c = sunet_voc.get_config(base.choose(ROWS, arg))
    if arg == RESNET:
        c.model = {"name": "fcrn", "depth": 101, "output_stride": 16, "kernel": 1, "dilation": 1}
        c.train.encoder = "imagenet"
        c.paper.update(row="Table 3 row 1", miou=68.39)
    return c
