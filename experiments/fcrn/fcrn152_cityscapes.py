"""FCRN-152 on Cityscapes: fcrn_online_bootstrapping.md Table 4 row 13.

Paper: 74.64 % mIoU, 95.46 % accuracy and 82.04 % mean accuracy on val, with the 512 hardest positions of each crop.
The recipe is that of `fcrn101_voc`, without dropout; 30K iterations are ours here too. That whole images are tested at
one scale, it says of PASCAL VOC alone. Networks of 50 and 101 layers are in Table 2, without bootstrapping: FCRN-101 is
`fcrn_table2:row15`.

  make train EXP=fcrn152_cityscapes && make evaluate EXP=fcrn152_cityscapes
"""

from experiments.fcrn import fcrn101_voc

# Columns of Table 6, and its row 2 (%)
COLUMNS = (
    *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation"),
    *("terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"),
)
CLASSES = (
    *(97.6, 82.0, 91.7, 52.3, 56.2, 57.0, 65.7, 74.4, 91.7, 62.5),
    *(93.8, 79.8, 59.6, 94.0, 66.2, 83.7, 70.3, 64.2, 75.5),
)


def get_config():
    """The settings, see above."""
    c = fcrn101_voc.get_config()
    c.dataset.name = "cityscapes"
    c.dataset.train_split = "train"
    c.model.depth = 152
    c.model.dropouts = (0.0,) * 4
    c.paper.update(row="Table 4 row 13, Table 6 row 2", data="Cityscapes val")
    c.paper.update(miou=74.64, accuracy=95.46, mean_accuracy=82.04)
    c.paper.classes = dict(zip(COLUMNS, CLASSES))
    return c
