"""SUNets, ResNets and DenseNets on ImageNet: sunet.md Table 2.

`EXP=sunet_table2:row6`. Paper: top-1 and top-5 errors on val and parameters. Rows 6 to 8 are the three networks of
`sunet_imagenet` (the columns of Table 1), from whose run folders segmentation starts. Rows 1 to 5 are quoted from the
official PyTorch implementation, whose recipe is that of `imagenet`; of the 28.5M that the paper prints for DenseNet-161
its layers explain 28.7M.
"""

from experiments import base
from experiments.imagenet import imagenet
from experiments.sunet import sunet_imagenet

# row of `sunet_imagenet`; or row of `imagenet`, then the paper's top-1 and top-5 errors (%) and parameters (M)
ROWS = {
    "row1": ("resnet18", 30.24, 10.92, 11.7),
    "row2": ("resnet50", 23.85, 7.13, 25.6),
    "row3": ("resnet101", 22.63, 6.44, 44.5),
    "row4": ("densenet201", 22.80, 6.43, 20.0),
    "row5": ("densenet161", 22.35, 6.20, 28.5),
    "row6": ("64",),
    "row7": ("128",),
    "row8": ("7-128",),
}


def get_config(arg=None):
    """`arg`: "row1" to "row8". Raises ValueError for another."""
    network, *figures = base.choose(ROWS, arg)
    if not figures:
        return sunet_imagenet.get_config(network)
    c = imagenet.get_config(network)
    top1, top5, parameters = figures
    c.paper.update(row=f"Table 2 row {arg[len('row') :]}", data="ImageNet val", split="val")
    c.paper.update(top1_error=top1, top5_error=top5, parameters=parameters)
    return c
