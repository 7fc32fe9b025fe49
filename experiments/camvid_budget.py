"""All systems on CamVid, from scratch, at one equal small CPU budget: `EXP=camvid_budget:ladder121`.

Each system has the network of its own experiment (`ladder121_camvid`, ...); crops, augmentation, number of images,
optimizer and schedule are the same for all, and the learning rate for all but two. No paper has these figures: they
compare what the networks learn from the same few images, not what they reach. Measured: docs/explanation/measured.md.

  for s in did ladder121 duc fcrn50 sunet64 fcdensenet103; do
    make train EXP=camvid_budget:$s && make evaluate EXP=camvid_budget:$s; done
"""

from experiments import base
from experiments.did import did_camvid
from experiments.duc import duc_camvid
from experiments.fc_densenet import fcdensenet103_camvid
from experiments.fcrn import fcrn50_camvid
from experiments.ladder import ladder121_camvid
from experiments.sunet import sunet64_camvid

WITHOUT_DROPOUT = {"dropout": 0.0}  # so short a run does not overfit
# experiment of each system, what its network has otherwise, and the learning rate: that of wide features straight into
# a dilated classifier must be lower, for at 1e-3 the loss rises (fcrn50_camvid)
ROWS = {
    "did": (did_camvid, WITHOUT_DROPOUT, 1e-3),
    "ladder121": (ladder121_camvid, WITHOUT_DROPOUT, 1e-3),
    "duc": (duc_camvid, {}, 2e-4),
    "fcrn50": (fcrn50_camvid, {}, 2e-4),
    "sunet64": (sunet64_camvid, {}, 1e-3),
    "fcdensenet103": (fcdensenet103_camvid, WITHOUT_DROPOUT, 1e-3),
}


def get_config(arg=None):
    """`arg`: one of `ROWS`. Raises ValueError for another."""
    experiment, changes, learning_rate = base.choose(ROWS, arg)
    own, c = experiment.get_config(), base.get_config()
    c.model = own.model
    c.model.update(changes, bn_momentum=0.95)  # so short a run would not fill a longer memory
    c.loss.output_weights = own.loss.output_weights
    c.loss.class_balance = 0.4
    c.data.crop = (193, 193)
    c.data.brightness = 0.27
    c.optimizer.weight_decay = 0.0
    c.optimizer.clip_norm = 5.0
    c.schedule.name = "cosine"
    c.schedule.learning_rate = learning_rate
    c.schedule.warmup = 20
    c.train.steps = 300
    c.train.batch_size = 4
    c.train.precision = "bfloat16"
    c.train.validate_every = 300
    return c
