"""Ladder DenseNet-169 on Cityscapes at full size, the paper's best: ladder_densenet.md Table 4 row 2.

Paper: 75.75 % mIoU and 95.88 % accuracy on val; on test 74.55 %, and 51.54 % iIoU (Table 5). It goes on from the
network trained at half size (`ladder_table1:row10`) with whole frames of 2048x1024, 2 at a time. The paper "just
continued training": read as the same recipe anew, its schedule too, for as many steps (20 epochs); the paper gives
none.

  make train EXP=ladder_table1:row10
  make train EXP=ladder169_cityscapes && make evaluate EXP=ladder169_cityscapes
  make train EXP=ladder169_cityscapes:runs/other       starts from another run folder
  make submit EXP=ladder169_cityscapes SPLIT=test      what the benchmark's server takes
"""

from experiments.ladder import ladder121_cityscapes


def get_config(arg=None):
    """`arg`: run folder or weights file to start from; default runs/ladder_table1_row10."""
    c = ladder121_cityscapes.get_config()
    c.dataset.options.half = False
    c.model.encoder = "densenet169"
    c.data.crop = (1024, 2048)
    c.train.batch_size = 2
    c.train.encoder = ""
    c.train.init = arg or "runs/ladder_table1_row10"
    c.paper.update(row="Table 4 row 2", miou=75.75, accuracy=95.88)
    return c
