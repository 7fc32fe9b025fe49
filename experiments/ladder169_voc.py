"""Ladder DenseNet-169 on PASCAL VOC with the augmented training set: ladder_densenet.md Table 6 row 3.

Paper: 78.01 % mIoU and 95.11 % accuracy on val; 78.25 % on test, trained on all of train, val and the augmented set.
The recipe is that of `ladder121_cityscapes`, with whole images padded to 500x500 (the largest), 5 at a time, for 20,000
steps (the authors' code, REFERENCE.md section 2).

  make train EXP=ladder169_voc && make evaluate EXP=ladder169_voc
"""

from experiments import ladder121_cityscapes


def get_config():
    """The settings, see above."""
    c = ladder121_cityscapes.get_config()
    c.dataset.name = "pascal_voc"
    c.dataset.options = {}
    c.dataset.train_split = "trainaug"
    c.model.encoder = "densenet169"
    c.data.crop = (500, 500)
    c.train.steps = 20_000
    c.train.batch_size = 5
    c.paper.update(row="Table 6 row 3", data="VOC val", miou=78.01, accuracy=95.11)
    return c
