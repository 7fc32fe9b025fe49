"""DID on CamVid: the paper's final row (did.md Table 3 row 16).

Paper: 68.3 % mIoU and 92.6 % accuracy on test, 11.6M parameters, 182K iterations of 22 crops of 321x321, then
100 epochs on train+val (`did_camvid_finetune`). Tested with tiles at five scales.

  make train EXP=did_camvid && make evaluate EXP=did_camvid SPLIT=test
"""

from experiments import base


def get_config(arg=None):
    """`arg` is not used."""
    c = base.get_config()
    c.model.growth = 48
    c.model.units = (6, 8, 8, 8)
    c.model.dilations = (1, 1, 2, 4)
    c.optimizer.options.epsilon = 2.5e-4  # the authors' code
    c.train.steps = 182_000
    c.evaluate.protocols = ("whole", "tiles")
    c.paper.update(row="Table 3 row 16", split="test", miou=68.3, accuracy=92.6, parameters=11.6)
    return c
