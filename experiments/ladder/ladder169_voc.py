"""Ladder DenseNet-169 on PASCAL VOC with the augmented training set: ladder_densenet.md Table 6 row 3.

Paper: 78.01 % mIoU and 95.11 % accuracy on val; 78.25 % on test (section 5.3), trained on all of train, val and the
augmented set: `EXP=ladder169_voc:test`, for as many steps, which the benchmark's server scores. The recipe is that of
`ladder121_cityscapes`, with whole images padded to 500x500 (the largest), 5 at a time, for 20,000 steps (the authors'
code, papers.md section 2).

  make train EXP=ladder169_voc && make evaluate EXP=ladder169_voc
  make train EXP=ladder169_voc:test && make submit EXP=ladder169_voc:test
"""

from experiments import base
from experiments.ladder import ladder121_cityscapes

# training split, validation split, then the paper's figures (%)
ROWS = {
    "val": ("trainaug", "val", {"row": "Table 6 row 3", "miou": 78.01, "accuracy": 95.11}),
    "test": ("trainaug+val", "", {"row": "section 5.3", "miou": 78.25}),
}


def get_config(arg=None):
    """`arg`: "val", the default, or "test". Raises ValueError for another."""
    split = arg or "val"
    training, validation, figures = base.choose(ROWS, split)
    c = ladder121_cityscapes.get_config()
    c.dataset.name = "pascal_voc"
    c.dataset.options = {}
    c.dataset.train_split = training
    c.dataset.val_split = validation
    c.model.encoder = "densenet169"
    c.data.crop = (500, 500)
    c.train.steps = 20_000
    c.train.batch_size = 5
    c.paper = {"data": f"VOC {split}", "split": split, **figures}
    return c
