"""SUNet-64 on CamVid from scratch, at output stride 16: what its recipe becomes without ImageNet.

Paper: no figure; its authors did not use CamVid. The network is theirs, the rest DID's (`base`), with crops of 320x320,
full at every stride, and a cosine, for 40,000 steps. Adam rather than SGD: in 120 steps of 4 crops of 224x224 (one run
each) the loss fell to 0.92 at a rate of 1e-3; SGD with momentum 0.9 came to 1.18 at 0.01, the paper's rate on ImageNet,
and to 1.19 at 0.1. Testing: whole images at the paper's four scales, and at one; tiles, as DID has them, with
`ARGS=--protocol=tiles`.

  make train EXP=sunet64_camvid && make evaluate EXP=sunet64_camvid SPLIT=test
"""

from experiments import base
from experiments.sunet import sunet_imagenet, sunet_voc


def get_config():
    """The settings, see above."""
    c = base.get_config()
    c.model.update(sunet_imagenet.network("64"))
    c.data.crop = (320, 320)
    c.schedule.name = "cosine"
    c.train.steps = 40_000
    c.evaluate.protocols = ("whole", "scales")
    c.evaluate.scales = sunet_voc.SCALES
    return c
