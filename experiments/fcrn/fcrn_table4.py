"""Online bootstrapping and dropout, FCRN-101 and FCRN-152: fcrn_online_bootstrapping.md Table 4.

`EXP=fcrn_table4:row5`. Paper: the figures below, on val: whole images at one scale. Rows 1 to 10 are PASCAL VOC, 11 to
14 Cityscapes. "Bs." is the number of hardest positions of each crop's score map that count; all that are valid count
where they are fewer. `fcrn101_voc` says which rates stand behind "Do.". Rows 1, 6 and 11 are rows 13 and 20 of Table 1
and row 22 of Table 2. Rows 1 and 3 are by class in Table 5, rows 11 and 13 in Table 6.
"""

from experiments import base
from experiments.fcrn import fcrn101_voc, fcrn152_cityscapes, fcrn152_voc

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

# rows that Tables 5 and 6 have by class, "FCRN" and "FCRN + Bs." on val: place there, columns, IoU (%)
BY_CLASS = {
    "row1": (
        "Table 5 row 1",
        fcrn152_voc.COLUMNS,
        (86.7, 39.5, 85.5, 66.9, 79.3, 90.7, 84.7, 90.6, 34.0, 79.1)
        + (51.6, 83.9, 80.6, 80.0, 83.0, 55.7, 80.6, 40.3, 82.7, 72.9),
    ),
    "row3": (
        "Table 5 row 2",
        fcrn152_voc.COLUMNS,
        (88.3, 40.4, 86.5, 66.6, 80.1, 91.6, 84.3, 90.1, 36.6, 83.7)
        + (53.6, 84.5, 85.1, 79.9, 83.9, 59.0, 83.3, 44.6, 81.1, 74.5),
    ),
    "row11": (
        "Table 6 row 1",
        fcrn152_cityscapes.COLUMNS,
        (97.4, 80.3, 90.8, 47.6, 53.8, 53.1, 58.1, 70.2, 91.2, 59.6)
        + (93.2, 77.1, 54.4, 93.0, 67.1, 79.4, 62.2, 57.3, 72.7),
    ),
    "row13": (
        "Table 6 row 2",
        fcrn152_cityscapes.COLUMNS,
        fcrn152_cityscapes.CLASSES,
    ),
}


def get_config(arg=None):
    """`arg`: "row1" to "row14". Raises ValueError for another."""
    recipe, depth, keep, dropout, accuracy, mean_accuracy, miou = base.choose(ROWS, arg)
    c = recipe.get_config()
    c.model.update(depth=depth, dropouts=fcrn101_voc.DROPOUTS if dropout else (0.0,) * 4)
    c.loss.ohem_keep = keep
    row = f"Table 4 row {arg[len('row') :]}"
    c.paper = {"row": row, "data": c.paper.data, "split": "val"}
    c.paper.update(miou=miou, accuracy=accuracy, mean_accuracy=mean_accuracy)
    if arg in BY_CLASS:
        place, columns, ious = BY_CLASS[arg]
        c.paper.update(row=f"{row}, {place}")
        c.paper.classes = dict(zip(columns, ious))
    return c
