"""The last stage of DID on Cityscapes (did.md section 3.3): train+val, 100 epochs at 1e-4, from a trained run.

Paper: 73.7 % mIoU on test (Table 6), if this stage was done there: section 3.3 says it of all. 100 epochs of the 3475
fine frames are 173,750 updates of 2 crops. There is no validation: val is trained on.

  make train EXP=did_cityscapes_finetune && make submit EXP=did_cityscapes_finetune SPLIT=test
  make train EXP=did_cityscapes_finetune:runs/other       starts from another run folder
"""

from experiments.did import did_cityscapes
from experiments.did.did_camvid_finetune import last_stage

FRAMES = 2975 + 500


def get_config(arg=None):
    """`arg`: run folder or weights file to start from; default runs/did_cityscapes."""
    return last_stage(did_cityscapes.get_config(), arg or "runs/did_cityscapes", FRAMES)
