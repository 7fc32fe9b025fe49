"""Depth, resolution and field of view of FCRN on PASCAL VOC: fcrn_online_bootstrapping.md Table 1.

`EXP=fcrn_table1:row6`. Paper: the figures below, on val: whole images at one scale. No bootstrapping and no dropout;
otherwise `fcrn101_voc`.
"""

from experiments import base
from experiments.fcrn import fcrn101_voc

# depth, stride, kernel and dilation of the classifier, then the paper's field of view (pixels), accuracy, mean
# accuracy and mIoU (%)
ROWS = {
    "row1": (50, 16, 3, 6, 208, 92.74, 78.68, 69.09),
    "row2": (50, 8, 3, 6, 104, 92.50, 77.60, 67.61),
    "row3": (50, 8, 3, 12, 200, 93.03, 79.51, 69.94),
    "row4": (50, 8, 3, 18, 296, 93.02, 79.28, 70.01),
    "row5": (50, 8, 5, 6, 200, 92.98, 79.34, 69.81),
    "row6": (50, 8, 5, 12, 392, 93.25, 79.84, 71.10),
    "row7": (50, 8, 7, 6, 296, 93.14, 79.54, 70.67),
    "row8": (101, 16, 3, 6, 208, 93.22, 80.16, 70.93),
    "row9": (101, 8, 3, 6, 104, 93.20, 79.87, 70.20),
    "row10": (101, 8, 3, 12, 200, 93.68, 81.29, 72.34),
    "row11": (101, 8, 3, 18, 296, 93.67, 81.15, 72.37),
    "row12": (101, 8, 5, 6, 200, 93.52, 81.00, 71.97),
    "row13": (101, 8, 5, 12, 392, 93.87, 81.87, 73.41),
    "row14": (101, 8, 7, 6, 296, 93.61, 81.34, 72.56),
    "row15": (152, 16, 3, 6, 208, 93.32, 80.21, 71.27),
    "row16": (152, 8, 3, 6, 104, 93.25, 79.78, 70.23),
    "row17": (152, 8, 3, 12, 200, 93.65, 80.97, 72.29),
    "row18": (152, 8, 3, 18, 296, 93.62, 80.44, 71.85),
    "row19": (152, 8, 5, 6, 200, 93.59, 80.92, 71.95),
    "row20": (152, 8, 5, 12, 392, 93.85, 81.53, 73.32),
    "row21": (152, 8, 7, 6, 296, 93.81, 81.38, 72.94),
}


def get_config(arg=None):
    """`arg`: "row1" to "row21". Raises ValueError for another."""
    return vanilla(fcrn101_voc.get_config(), base.choose(ROWS, arg), f"Table 1 row {arg[len('row') :]}")


def vanilla(c, row, label):
    """`c` with the network and the figures of `row`, an entry of `ROWS` here or in Table 2 ("vanilla FCRNs")."""
    depth, stride, kernel, dilation, field_of_view, accuracy, mean_accuracy, miou = row
    c.model.update(depth=depth, output_stride=stride, kernel=kernel, dilation=dilation, dropouts=(0.0,) * 4)
    c.loss.ohem_keep = 0
    c.paper = {"row": label, "data": c.paper.data, "split": "val"}
    c.paper.update(miou=miou, accuracy=accuracy, mean_accuracy=mean_accuracy, field_of_view=field_of_view)
    return c
