"""SUNets on ImageNet: sunet.md Table 2.

`EXP=sunet_table2:row6`. Paper: top-1 and top-5 errors on val and parameters, in `sunet_imagenet`, whose three networks
these are (the columns of Table 1). Rows 1 to 5 are other people's. Segmentation starts from `sunet_imagenet`'s run
folders.
"""

from experiments import base
from experiments.sunet import sunet_imagenet

ROWS = {"row6": "64", "row7": "128", "row8": "7-128"}


def get_config(arg=None):
    """`arg`: "row6" to "row8". Raises ValueError for another."""
    return sunet_imagenet.get_config(base.choose(ROWS, arg))
