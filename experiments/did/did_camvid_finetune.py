"""The last stage of DID on CamVid (did.md section 3.3): train+val, 100 epochs at 1e-4, from a trained run.

Paper: 68.3 % mIoU on test together with the stage before it. There is no validation: val is trained on.

  make train EXP=did_camvid_finetune && make evaluate EXP=did_camvid_finetune SPLIT=test
  make train EXP=did_camvid_finetune:runs/other       starts from another run folder
"""

import math

from experiments.did import did_camvid

FRAMES, EPOCHS = 367 + 101, 100


def get_config(arg=None):
    """`arg`: run folder or weights file to start from; default runs/did_camvid."""
    return last_stage(did_camvid.get_config(), arg or "runs/did_camvid", FRAMES)


def last_stage(c, start, images, split="train+val"):
    """The settings `c` for section 3.3's last stage: from weights in `start`, on so many images of a split."""
    c.dataset.train_split = split
    c.dataset.val_split = ""
    c.schedule.name = "constant"
    c.schedule.learning_rate = 1e-4
    c.train.init = start
    c.train.steps = math.ceil(EPOCHS * images / c.train.batch_size)
    return c
