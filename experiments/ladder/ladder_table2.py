"""The encoders behind Ladder DenseNet on ImageNet: ladder_densenet.md Table 2.

`EXP=ladder_table2:row4`. Paper: top-1 errors on val and parameters, quoted from others. The recipe is that of
`imagenet`. Of the parameters, the paper cuts those of ResNet-50 (25.6M) and rounds those of ResNet-101 (44.5M);
DenseNet-169, for which it prints 13M, has 14.1M.
"""

from experiments import base
from experiments.imagenet import imagenet

# row of `imagenet`, then the paper's top-1 error (%) and parameters (M)
ROWS = {
    "row1": ("resnet101", 23.6, 45),
    "row2": ("resnet50", 24.7, 25),
    "row3": ("densenet169", 23.6, 13),
    "row4": ("densenet121", 25.0, 8),
}


def get_config(arg=None):
    """`arg`: "row1" to "row4". Raises ValueError for another."""
    encoder, top1, parameters = base.choose(ROWS, arg)
    c = imagenet.get_config(encoder)
    c.paper.update(row=f"Table 2 row {arg[len('row') :]}", data="ImageNet val", split="val")
    c.paper.update(top1_error=top1, parameters=parameters)
    return c
