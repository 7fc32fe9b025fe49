"""The last stage of DID on the Inria aerial images (did.md section 3.3): train+val, 100 epochs at 1e-4, from a run.

Paper: 74.95 % IoU of buildings on test (Table 5), if this stage was done there: section 3.3 says it of all. An epoch is
all 18,000 patches of the 180 tiles, so that 100 are 180,000 updates of 10. There is no validation: val is trained on.

  make train EXP=did_inria_finetune && make submit EXP=did_inria_finetune
  make train EXP=did_inria_finetune:runs/other       starts from another run folder
"""

from experiments.did import did_inria
from experiments.did.did_camvid_finetune import last_stage

PATCHES = 180 * 100


def get_config(arg=None):
    """`arg`: run folder or weights file to start from; default runs/did_inria."""
    return last_stage(did_inria.get_config(), arg or "runs/did_inria", PATCHES, "trainval")
