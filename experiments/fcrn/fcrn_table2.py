"""Depth, resolution and field of view of FCRN on Cityscapes: fcrn_online_bootstrapping.md Table 2.

`EXP=fcrn_table2:row6`. Paper: the figures below, on val: whole images at one scale. No bootstrapping; otherwise
`fcrn152_cityscapes`. Networks of 50 layers, it says, can have "larger image crops", not how large (section 4.3): here
all have 504 (`data.crop`), less than the field of view of rows 7 and 9.
"""

from experiments import base
from experiments.fcrn import fcrn152_cityscapes, fcrn_table1

# depth, stride, kernel and dilation of the classifier, then the paper's field of view (pixels), accuracy, mean
# accuracy and mIoU (%)
ROWS = {
    "row1": (50, 16, 3, 6, 208, 93.83, 74.67, 66.41),
    "row2": (50, 8, 3, 6, 104, 94.38, 74.89, 66.58),
    "row3": (50, 8, 3, 12, 200, 94.47, 75.91, 67.68),
    "row4": (50, 8, 3, 18, 296, 94.53, 76.52, 68.38),
    "row5": (50, 8, 5, 6, 200, 94.48, 76.17, 68.04),
    "row6": (50, 8, 5, 12, 392, 94.61, 76.68, 68.71),
    "row7": (50, 8, 5, 18, 584, 94.64, 76.34, 68.53),
    "row8": (50, 8, 7, 6, 296, 94.58, 76.88, 68.79),
    "row9": (50, 8, 7, 12, 584, 94.64, 76.57, 68.79),
    "row10": (101, 16, 3, 6, 208, 94.11, 76.26, 67.62),
    "row11": (101, 8, 3, 6, 104, 94.68, 77.15, 68.58),
    "row12": (101, 8, 3, 12, 200, 94.78, 78.30, 69.99),
    "row13": (101, 8, 3, 18, 296, 94.82, 78.21, 70.00),
    "row14": (101, 8, 5, 6, 200, 94.75, 78.11, 69.89),
    "row15": (101, 8, 5, 12, 392, 94.87, 79.17, 71.16),
    "row16": (101, 8, 7, 6, 296, 94.75, 78.43, 70.40),
    "row17": (152, 16, 3, 6, 208, 94.26, 76.89, 68.30),
    "row18": (152, 8, 3, 6, 104, 94.82, 78.30, 69.69),
    "row19": (152, 8, 3, 12, 200, 94.94, 78.79, 70.66),
    "row20": (152, 8, 3, 18, 296, 94.93, 79.19, 70.92),
    "row21": (152, 8, 5, 6, 200, 94.88, 78.77, 70.61),
    "row22": (152, 8, 5, 12, 392, 95.00, 79.38, 71.51),
    "row23": (152, 8, 7, 6, 296, 94.91, 79.08, 70.87),
}


def get_config(arg=None):
    """`arg`: "row1" to "row23". Raises ValueError for another."""
    row = base.choose(ROWS, arg)
    return fcrn_table1.vanilla(fcrn152_cityscapes.get_config(), row, f"Table 2 row {arg[len('row') :]}")
