"""Online bootstrapping and dropout, FCRN-101 and FCRN-152: fcrn_online_bootstrapping.md Table 4.

`EXP=fcrn_table4:row5`. Paper: the figures below, on val: whole images at one scale. Rows 1 to 10 are PASCAL VOC, 11 to
14 Cityscapes. "Bs." is the number of hardest positions of each crop's score map that count; all that are valid count
where they are fewer. `fcrn101_voc` says which rates stand behind "Do.". Rows 1, 6 and 11 are rows 13 and 20 of Table 1
and row 22 of Table 2.
"""

from experiments import base
from experiments.fcrn import fcrn101_voc, fcrn152_cityscapes

# recipe, depth, hardest positions kept (0: all), dropout, then the paper's accuracy, mean accuracy and mIoU (%)
ROWS = {
    "row1": (fcrn101_voc, 101, 0, False, 93.87, 81.87, 73.41),
    "row2": (fcrn101_voc, 101, 256, False, 94.11, 81.44, 74.41),
    "row3": (fcrn101_voc, 101, 512, False, 94.23, 82.09, 74.80),
    "row4": (fcrn101_voc, 101, 1024, False, 94.08, 81.84, 74.17),
    "row5": (fcrn101_voc, 101, 512, True, 94.27, 84.82, 75.45),
    "row6": (fcrn101_voc, 152, 0, False, 93.85, 81.53, 73.32),
    "row7": (fcrn101_voc, 152, 256, False, 94.19, 81.64, 74.53),
    "row8": (fcrn101_voc, 152, 512, False, 94.23, 82.06, 74.72),
    "row9": (fcrn101_voc, 152, 1024, False, 94.15, 81.94, 74.40),
    "row10": (fcrn101_voc, 152, 512, True, 94.46, 85.13, 75.90),
    "row11": (fcrn152_cityscapes, 152, 0, False, 95.00, 79.38, 71.51),
    "row12": (fcrn152_cityscapes, 152, 256, False, 95.41, 81.37, 73.97),
    "row13": (fcrn152_cityscapes, 152, 512, False, 95.46, 82.04, 74.64),
    "row14": (fcrn152_cityscapes, 152, 1024, False, 95.38, 81.00, 73.45),
}


def get_config(arg=None):
    """`arg`: "row1" to "row14". Raises ValueError for another."""
    recipe, depth, keep, dropout, accuracy, mean_accuracy, miou = base.choose(ROWS, arg)
    c = recipe.get_config()
    c.model.update(depth=depth, dropouts=fcrn101_voc.DROPOUTS if dropout else (0.0,) * 4)
    c.loss.ohem_keep = keep
    row = f"Table 4 row {arg[len('row') :]}"
    c.paper.update(row=row, miou=miou, accuracy=accuracy, mean_accuracy=mean_accuracy)
    return c
