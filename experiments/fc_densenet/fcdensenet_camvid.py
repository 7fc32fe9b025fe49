"""The smaller FC-DenseNets on CamVid, `EXP=fcdensenet_camvid:56`; the recipe of `fcdensenet103_camvid`.

Paper (Jegou et al. 2017, Table 3): test mIoU and accuracy below. DID's tables have the 103 alone. It prints 1.5M
parameters for FC-DenseNet56: its blocks as described give 1.38M, as those of the 67 and the 103 give what it prints.
"""

from experiments import base
from experiments.fc_densenet import fcdensenet103_camvid

# growth, units of each of the five blocks and of the bottleneck, then the paper's test mIoU and accuracy (%)
ROWS = {
    "56": (12, 4, {"miou": 58.9, "accuracy": 88.9}),
    "67": (16, 5, {"miou": 65.8, "accuracy": 90.8, "parameters": 3.5}),
}


def get_config(arg=None):
    """`arg`: "56" or "67". Raises ValueError for another."""
    growth, units, figures = base.choose(ROWS, arg)
    c = fcdensenet103_camvid.get_config()
    c.model.update(growth=growth, units=(units,) * 5, bottleneck=units)
    c.paper = {"row": f"Table 3 (FC-DenseNet{arg})", "data": "CamVid test", "split": "test", **figures}
    return c
