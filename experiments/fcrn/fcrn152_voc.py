"""FCRN-152 on PASCAL VOC and MS-COCO: the way to fcrn_online_bootstrapping.md Table 5's figures on test.

Paper: 77.3 % mIoU on test with PASCAL VOC alone (`EXP=fcrn152_voc:test`), 78.3 % with MS-COCO before it (`coco`, then
`coco-test`). Neither depth nor training set nor protocol of these two is given. We take the paper's best network on
val, row 10 of Table 4 (152 layers, the 512 hardest positions, dropout: `EXP=fcrn_table4:row10`, 75.90 %), train it on
the augmented set and val together, and test whole images at one scale.

Of the stage on MS-COCO the paper says nothing but that there was one: it has the same recipe, for as many iterations,
and images with fewer than 1000 pixels of VOC's classes are left out, as in sunet.md. Meanwhile, VOC's val is watched.
Otherwise the recipe is that of `fcrn101_voc`. Data: data/coco_for_voc (`make data DATASET=coco_for_voc` says how), with
VOC in data/pascal_voc (`ARGS=--config.dataset.options.voc=...` for another folder).

  make train EXP=fcrn152_voc:test && make submit EXP=fcrn152_voc:test
  make train EXP=fcrn152_voc:coco && make train EXP=fcrn152_voc:coco-test && make submit EXP=fcrn152_voc:coco-test
"""

from experiments import base
from experiments.fcrn import fcrn101_voc

# Columns of Table 5, whose means are of these and the background; then IoU (%) of its rows "ours"
COLUMNS = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table", "dog"),
    *("horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor"),
)
CLASSES = {
    "test": (
        *(91.9, 46.5, 91.2, 65.1, 74.8, 90.9, 87.2, 94.9, 32.2, 88.7),
        *(57.5, 90.5, 90.9, 87.8, 86.0, 60.8, 88.5, 52.3, 84.5, 67.9),
    ),
    "coco-test": (
        *(92.9, 45.6, 88.1, 70.1, 75.4, 90.9, 88.7, 94.3, 35.2, 86.8),
        *(60.6, 89.7, 91.6, 88.5, 87.0, 62.6, 89.4, 55.1, 85.4, 72.4),
    ),
}
# data set, training split, validation split, run that it starts from, then the paper's row and mIoU on test (%)
ROWS = {
    "test": ("pascal_voc", "trainaug+val", "", "", ("Table 5 row 9", 77.3)),
    "coco": ("coco_for_voc", "train2017+val2017", "val", "", ()),
    "coco-test": ("pascal_voc", "trainaug+val", "", "runs/fcrn152_voc_coco", ("Table 5 row 14", 78.3)),
}


def get_config(arg=None):
    """`arg`: "test", "coco" or "coco-test". Raises ValueError for another."""
    data, training, validation, start, figure = base.choose(ROWS, arg)
    c = fcrn101_voc.get_config()
    c.dataset.name = data
    c.dataset.train_split = training
    c.dataset.val_split = validation
    if data == "coco_for_voc":
        c.dataset.options.voc = "data/pascal_voc"
    c.model.depth = 152
    if start:
        c.train.init = start
        c.train.encoder = ""
    c.paper = {}
    if figure:
        row, miou = figure
        classes = dict(zip(COLUMNS, CLASSES[arg]))
        c.paper = {"row": row, "data": "VOC test", "split": "test", "miou": miou, "classes": classes}
    return c
