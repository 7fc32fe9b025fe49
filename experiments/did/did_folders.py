"""DID on your own data (`folders`): any number of bands and classes, 8 or 16 bit or float, from scratch.

No paper figure: the data are yours. What differs from `did_camvid`, for some tens to some thousands of images: growth
32 instead of 48 and crops of 257x257 (sides are best 16n + 1; smaller images are padded), so that it trains on small
hardware; features placed where they stand in images of any size; a wide range of scales, as objects come in all sizes;
half of the class balancing, so that rare classes are learnt; Muon, which learns more from an update than Adam, and of
whose decoupled weight decay 1e-4 is hardly felt (docs/explanation/muon.md); a cosine instead of steps, and clipped
gradients, as nobody tunes the first run. For what is seen from above, ARGS="--config.data.flip_vertical=true" mirrors
upside down.

  make describe-data IMAGES=dir LABELS=dir DATA=dir   drafts DATA/dataset.yaml: name the classes in it
  make check-data DATASET=folders DATA=dir
  make train EXP=did_folders DATA=dir && make evaluate EXP=did_folders DATA=dir
"""

from experiments import base


def get_config():
    """The settings, see above."""
    c = base.get_config()
    c.dataset.name = "folders"
    c.model.growth = 32
    c.model.placement = "exact"
    c.model.use_bias = False
    c.model.bn_momentum = 0.99
    c.data.crop = (257, 257)
    c.data.scale = (0.6, 1.6)
    c.loss.class_balance = 0.5
    c.optimizer.name = "muon"
    c.optimizer.clip_norm = 5.0
    c.schedule.name = "cosine"
    c.schedule.warmup = 100
    c.train.steps = 4000
    c.train.batch_size = 8
    c.train.precision = "auto"
    c.train.validate_every = 400
    c.evaluate.protocols = ("whole", "tiles")
    return c
