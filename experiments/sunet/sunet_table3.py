"""SUNets on PASCAL VOC: sunet.md Table 3.

`EXP=sunet_table3:row2`. Paper: mIoU on val in `sunet_voc`, whose three networks these are. Row 1 is a ResNet-101 of
other people's.
"""

from experiments import base
from experiments.sunet import sunet_voc

ROWS = {"row2": "64", "row3": "128", "row4": "7-128"}


def get_config(arg=None):
    """`arg`: "row2" to "row4". Raises ValueError for another."""
    return sunet_voc.get_config(base.choose(ROWS, arg))
