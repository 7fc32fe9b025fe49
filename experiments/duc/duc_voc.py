"""ResNet-DUC on PASCAL VOC: duc_hdc.md section 4.3 and Table 6 row 3.

Paper: 83.1 % mIoU on test, one model at one scale. Two stages: `coco` on the augmented training set and MS-COCO
together, then `trainval` on the augmented training set and val. ResNet-152 from ImageNet without hybrid dilation;
images padded to 512x512; "all other training strategies are the same as Cityscapes experiment", which is
`duc_cityscapes:patch544`: ASPP-6, cell 2, batches of 12, 20 epochs, neither scaling nor rotation.

What the paper doesn't say, and what we do:
- It shows results on val after a conditional random field (Figure 7), and not whether the figure has one. None here.
- Which images of MS-COCO: those with at least 1000 pixels of VOC's classes, as in sunet.md, some 90,000 of train and
  val, so that 20 epochs of the first stage are 168K updates (30 are 251K), and of the second 20K.
- On Cityscapes, ResNet-152 learns its batch norm for 10 epochs before the 20 in which that is fixed. So it does here
  in the first stage, as in `duc_table3`.
- The rate of the second stage: the same again, with the same decay.
There is no figure on val. In the first stage VOC's val is watched, on which it isn't trained. Data: data/coco_for_voc
(`make data DATASET=coco_for_voc` says how), with VOC in data/pascal_voc (`ARGS=--config.dataset.options.voc=...` for
another folder).

  make train EXP=duc_voc:coco && make evaluate EXP=duc_voc:coco
  make train EXP=duc_voc:trainval && make submit EXP=duc_voc:trainval
"""

from experiments import base
from experiments.duc import duc_cityscapes

# data set, its options, training split, validation split, images, run that it starts from, the paper's mIoU on test (%)
ROWS = {
    "coco": ("coco_for_voc", {"voc": "data/pascal_voc"}, "trainaug+train2017+val2017", "val", 100_582, "", None),
    "trainval": ("pascal_voc", {}, "trainaug+val", "", 12_031, "runs/duc_voc_coco", 83.1),
}


def get_config(arg=None):
    """`arg`: "coco" or "trainval". Raises ValueError for another."""
    data, options, training, validation, images, start, miou = base.choose(ROWS, arg)
    c = duc_cityscapes.get_config("patch544")
    c.dataset.name = data
    c.dataset.options = options
    c.dataset.train_split = training
    c.dataset.val_split = validation
    c.model.depth = 152
    c.data.crop = (512, 512)
    c.train.steps = duc_cityscapes.steps(images, 1, c.train.batch_size)
    if start:
        c.train.init = start
        c.train.encoder = ""
    else:
        duc_cityscapes.learn_batch_norm(c, images, 1)
    c.paper = {"row": "Table 6 row 3", "data": "VOC test", "split": "test", "miou": miou} if miou else {}
    return c
