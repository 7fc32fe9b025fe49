"""Ladder DenseNet-121 on Cityscapes at half size: ladder_densenet.md Table 1 row 7, and the recipe of all its tables.

Paper: 72.82 % mIoU and 95.06 % accuracy on val. Frames resized to 1024x448, whole, 4 at a time; mirroring is the only
augmentation. Adam at 5e-4 with poly 1.5, a fifth of it for the encoder from ImageNet. From the authors' code
(papers.md section 2): of each frame, rows 30 to 900 are resized; L2 of 1e-4 but not on the logits.

The paper does not say how long. The authors' published settings for this size have 30,000 steps (40 epochs), which we
take, or 30 epochs; older ones 13,000 and 20,000 steps.

  make train EXP=ladder121_cityscapes && make evaluate EXP=ladder121_cityscapes
"""

from experiments import base


def get_config():
    """The settings, see above."""
    c = base.get_config()
    c.dataset.name = "cityscapes"
    c.dataset.options.half = True
    c.model = {"name": "ladder", "encoder": "densenet121"}
    c.data.crop = (448, 1024)
    c.data.scale = (1.0, 1.0)
    c.data.aspect = 0.0
    c.data.cache = False
    c.loss.output_weights = {"main": 0.7, "aux": 0.3}
    c.optimizer.undecayed = ("head",)
    c.optimizer.multipliers.encoder = 0.2
    c.schedule.name = "poly"
    c.schedule.learning_rate = 5e-4
    c.schedule.power = 1.5
    c.train.steps = 30_000
    c.train.batch_size = 4
    c.train.encoder = "imagenet"
    c.paper.update(row="Table 1 row 7", data="Cityscapes val", split="val", miou=72.82, accuracy=95.06)
    return c
