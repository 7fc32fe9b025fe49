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

# data set, training split, validation split, run that it starts from, the paper's mIoU on test (%)
ROWS = {
    "test": ("pascal_voc", "trainaug+val", "", "", 77.3),
    "coco": ("coco_for_voc", "train2017+val2017", "val", "", None),
    "coco-test": ("pascal_voc", "trainaug+val", "", "runs/fcrn152_voc_coco", 78.3),
}


def get_config(arg=None):
    """`arg`: "test", "coco" or "coco-test". Raises ValueError for another."""
    data, training, validation, start, miou = base.choose(ROWS, arg)
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
    c.paper = {"row": "Table 5", "data": "VOC test", "split": "test", "miou": miou} if miou else {}
    return c
