"""ResNet-DUC-HDC on CamVid from scratch: what its recipe becomes without ImageNet.

Paper: no figure; its authors did not use CamVid. ResNet-101 with the three 3x3 convolutions of the "better network"
(section 4.1.4), as no ImageNet weights ask for the 7x7 one; dilation "bigger", ASPP-4 and cell 2, as in the authors'
code. Optimizer, schedule, batch and number of updates are the paper's, but batch norm is trained, the learning rate is
that of networks trained from scratch, and the loss is at full resolution, since 367 frames have no labels to waste.
Scales and flips are DID's; the crop is the multiple of 8 next to its 321.

  make train EXP=duc_camvid && make evaluate EXP=duc_camvid SPLIT=test
"""

from experiments import base


def get_config():
    """The settings, see above."""
    c = base.get_config()
    c.model = {"name": "duc", "depth": 101, "stem": "3x3", "dilation": "bigger", "aspp": 4, "cell": 2}
    c.data.crop = (320, 320)
    c.optimizer.name = "sgd"
    c.optimizer.options.momentum = 0.9
    c.optimizer.weight_decay = 5e-4
    c.schedule.name = "poly"
    c.schedule.learning_rate = 0.01
    c.schedule.warmup = 500
    c.train.steps = 59_500
    c.train.batch_size = 12
    c.evaluate.protocols = ("whole", "tiles")
    return c
