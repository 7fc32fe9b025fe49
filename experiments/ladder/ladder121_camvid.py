"""Ladder DenseNet-121 on CamVid from scratch: what its recipe becomes without ImageNet and with 367 images.

Paper: no figure; its authors did not use CamVid. The network, its losses, optimizer and schedule are theirs (as in
`ladder_table3:row2`, from scratch on Cityscapes). Ours: DID's scales (`did_camvid`), dropout and tiles in testing, as
so few images are learnt by heart; crops of 448x320, near the whole frame, for 7x5 cells at 1/64; 40,000 steps of 8.

  make train EXP=ladder121_camvid && make evaluate EXP=ladder121_camvid SPLIT=test
"""

from experiments import base
from experiments.ladder import ladder_table3


def get_config():
    """The settings, see above."""
    c, ours = ladder_table3.get_config("row2"), base.get_config()
    c.dataset, c.data = ours.dataset, ours.data
    c.data.crop = (320, 448)
    c.model.dropout = 0.2
    c.train.steps = 40_000
    c.train.batch_size = 8
    c.evaluate.protocols = ("whole", "tiles")
    c.paper = {}
    return c
