"""A small DID on drawn street scenes: minutes on a CPU, needs no data. What `make demo` runs.

No paper figure: it shows that the program works and learns shapes, nothing about the paper.

  make train EXP=did_synthetic && make evaluate EXP=did_synthetic
"""

from experiments import base


def get_config():
    """The settings, see above."""
    c = base.get_config()
    c.dataset.name = "synthetic"
    c.dataset.options.height = 160
    c.dataset.options.width = 208
    c.model.growth = 16
    c.model.units = (3, 4, 4, 4)
    c.model.dropout = 0.0
    c.model.bn_momentum = 0.99
    c.data.crop = (129, 161)
    c.data.scale = (0.8, 1.3)
    c.optimizer.weight_decay = 0.0
    c.schedule.name = "cosine"
    c.schedule.learning_rate = 3e-3
    c.schedule.warmup = 20
    c.train.steps = 600
    c.train.batch_size = 8
    c.train.checkpoint_every = 100
    c.train.validate_every = 200
    return c
