"""Ladder DenseNet-169 on Cityscapes test: ladder_densenet.md Table 5.

`EXP=ladder_table5:row7`. Paper: 74.6 % mIoU on test (74.55 in the text, and 51.54 % iIoU), "after training on fine
annotations only". Rows 1 to 6 are other people's. Not said: whether val was trained on too. Here it is the network of
`ladder169_cityscapes` (Table 4 row 2), trained on train alone, of whose run nothing but the labelling of test is left:
  make submit EXP=ladder_table5:row7 SPLIT=test ARGS=--weights=runs/ladder169_cityscapes
The other reading: `ARGS="--config.dataset.train_split=train+val --config.dataset.val_split="` in training.
"""

from experiments import base
from experiments.ladder import ladder169_cityscapes

ROWS = {"row7": 74.55}  # the paper's mIoU (%)


def get_config(arg=None):
    """`arg`: "row7". Raises ValueError for another."""
    miou = base.choose(ROWS, arg)
    c = ladder169_cityscapes.get_config()
    c.paper = {"row": "Table 5 row 7", "data": "Cityscapes test", "split": "test", "miou": miou, "miiou": 51.54}
    return c
