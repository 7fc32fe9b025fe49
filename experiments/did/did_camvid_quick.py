"""DID on CamVid in 65 to 85 minutes on two CPU cores: the paper's network with growth 32 instead of 48.

Measured figures: docs/explanation/measured.md. No paper figure: it sees 27,200 crops of train alone, the paper 4.0M.
What differs from `did_camvid` and why: a narrower network, smaller crops, a small batch whose halves are computed side
by side, and the fastest precision that the machine has buy updates per second (measured in bfloat16); Muon learns more
from each than Adam; scores stand where features do, as CamVid's images are none of 16n + 1 pixels; no dropout or weight
decay, as so short a run does not overfit; partial class balancing, or poles and signs are hardly ever predicted.

  make train EXP=did_camvid_quick && make evaluate EXP=did_camvid_quick
"""

from experiments.did import did_camvid


def get_config():
    """The settings, see above."""
    c = did_camvid.get_config()
    c.paper = {}
    c.model.growth = 32
    c.model.placement = "exact"
    c.model.dropout = 0.0
    c.model.use_bias = False
    c.model.bn_momentum = 0.99
    c.data.crop = (257, 257)
    c.data.brightness = 0.27
    c.loss.class_balance = 0.4
    c.optimizer.name = "muon"
    c.optimizer.options.epsilon = 1e-7
    c.optimizer.weight_decay = 0.0
    c.optimizer.clip_norm = 5.0
    c.schedule.name = "cosine"
    c.schedule.learning_rate = 1.4e-3
    c.schedule.warmup = 200
    c.train.steps = 6800
    c.train.batch_size = 4
    c.train.parts = 2
    c.train.precision = "auto"
    c.train.validate_every = 1700
    return c
