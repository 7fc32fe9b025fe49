"""Ways up, encoders, losses and contexts on Cityscapes at half size: ladder_densenet.md Table 1.

`EXP=ladder_table1:row7`. Paper: the figures below, on val at half size. Otherwise `ladder121_cityscapes`.

"n x" is the resolution of the prediction. Read from section 5.2: "32x" rows predict from the context without splitting
the last block; "Dilated 8x" ones dilate the last two blocks and go up once; "split3+4" splits blocks 3 and 4, for five
steps up from 1/128. "SPP" has PSPNet's grids (1, 2, 3, 6) and 128 features from each, which the paper does not give;
the authors' published code, which may not be that of the paper, pools by 2, 4 and 8 instead. Ladder ResNet-50 goes up
from 1/32 (`did_tf.models.ladder` says why), as in that code. The paper has no parameters of these networks.
"""

from experiments import base
from experiments.ladder import ladder121_cityscapes

# options of the model, then the paper's mIoU and accuracy (%)
ROWS = {
    "row1": ({"encoder": "resnet50", "split": (), "decoder": "plain", "aux": False}, 60.95, 91.98),
    "row2": ({"encoder": "resnet50", "split": ()}, 69.53, 94.42),
    "row3": ({"encoder": "resnet50", "split": (), "output_stride": 8}, 69.23, 94.47),
    "row4": ({"split": (), "decoder": "plain", "aux": False}, 62.52, 92.29),
    "row5": ({"split": (), "output_stride": 8}, 71.56, 94.92),
    "row6": ({"aux": False}, 71.73, 94.99),
    "row7": ({}, 72.82, 95.06),
    "row8": ({"encoder": "densenet169", "split": (3, 4)}, 72.69, 95.08),
    "row9": ({"encoder": "densenet169", "context": "spp"}, 72.34, 95.04),
    "row10": ({"encoder": "densenet169"}, 73.72, 95.11),
}


def get_config(arg=None):
    """`arg`: "row1" to "row10". Raises ValueError for another."""
    options, miou, accuracy = base.choose(ROWS, arg)
    c = ladder121_cityscapes.get_config()
    c.model.update(options)
    if not options.get("aux", True):
        c.loss.output_weights = {}
    c.paper.update(row=f"Table 1 row {arg[len('row') :]}", miou=miou, accuracy=accuracy)
    return c
