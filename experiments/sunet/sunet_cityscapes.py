"""SUNet-7-128 on Cityscapes, at output stride 16: sunet.md Table 7 row 8.

Paper: 75.3 % mIoU on test, trained on the fine annotations, tested at nine scales with flips. The recipe is that of
`sunet_voc`, for 90K iterations, from a classification run in runs/sunet_imagenet_7-128. The last stage, on train and
val, is `sunet_cityscapes_finetune`.
Frames at 2.5 times their size have 13 megapixels; as in the authors' code they go through the network in tiles of the
crop's size with `ARGS=--protocol=tiles`.

  make train EXP=sunet_cityscapes && make evaluate EXP=sunet_cityscapes
  make submit EXP=sunet_cityscapes SPLIT=test
"""

from experiments.sunet import sunet_voc


def get_config():
    """The settings, see above."""
    c = sunet_voc.get_config()
    c.dataset.name = "cityscapes"
    c.dataset.train_split = "train"
    c.train.steps = 90_000
    c.evaluate.protocols = ("whole", "scales")
    c.evaluate.scales = (*sunet_voc.SCALES, 1.5, 1.75, 2.0, 2.25, 2.5)
    c.evaluate.flip = True
    c.paper.update(row="Table 7 row 8", data="Cityscapes test", split="test", miou=75.3)
    return c
