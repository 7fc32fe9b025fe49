"""Output strides, de-gridding and tests at several scales, SUNet-7-128 on PASCAL VOC: sunet.md Table 5.

`EXP=sunet_table5:row6`. Paper: the figures below, mIoU on val. "MS": "each input image is scaled and tested using
multiple scales", whole images at four scales of their size. In the authors' code these go through the network in tiles
of 512x512, and the scales are of a shorter side of 512, which makes most images a third larger: `ARGS=--protocol=tiles`
has the former. At output stride 8 the batch is 12, as in section 7.3. Otherwise `sunet_voc`.

Rows 1 to 3 are trained alike, so are 4, 6 and 7, and 8, 10 and 11. One run serves to test them all, for example
  make evaluate EXP=sunet_table5:row7 ARGS=--weights=runs/sunet_table5_row4
"""

from experiments import base
from experiments.sunet import sunet_voc

# output stride, de-gridding layers, multi-scale test, flip, then the paper's mIoU (%)
ROWS = {
    "row1": (32, False, False, False, 76.03),
    "row2": (32, False, True, False, 77.58),
    "row3": (32, False, True, True, 77.57),
    "row4": (16, False, False, False, 78.95),
    "row5": (16, True, False, False, 78.10),
    "row6": (16, False, True, False, 80.22),
    "row7": (16, False, True, True, 80.40),
    "row8": (8, False, False, False, 78.64),
    "row9": (8, True, False, False, 78.88),
    "row10": (8, False, True, False, 80.37),
    "row11": (8, False, True, True, 80.50),
}


def get_config(arg=None):
    """`arg`: "row1" to "row11". Raises ValueError for another."""
    output_stride, degridding, multi_scale, flip, miou = base.choose(ROWS, arg)
    c = sunet_voc.get_config()
    c.model.update(output_stride=output_stride, degridding=degridding)
    c.train.batch_size = 12 if output_stride == 8 else c.train.batch_size
    if multi_scale:
        c.evaluate.protocols = ("scales",)
        c.evaluate.scales = sunet_voc.SCALES
    c.evaluate.flip = flip
    c.paper.update(row=f"Table 5 row {arg[len('row') :]}", miou=miou)
    return c
