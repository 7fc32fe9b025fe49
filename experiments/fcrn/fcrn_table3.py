"""Resolution in training and in testing, FCRN-101 on PASCAL VOC: fcrn_online_bootstrapping.md Table 3.

`EXP=fcrn_table3:row5`. Paper: the figures below, on val: whole images at one scale. No bootstrapping and no dropout;
otherwise `fcrn101_voc`. Rows 2, 3 and 5 test at a stride that the network was not trained at, through
`evaluate.options`. Halving the stride and doubling every dilation after that point, the classifier's too, is the same
function as `simulation`; row 3 halves twice, once in each way.

Rows 1 to 3 are trained alike, and so are 4 and 5, as Table 1's row 13. One run serves to test them all, for example
  make evaluate EXP=fcrn_table3:row5 ARGS=--weights=runs/fcrn_table3_row4

The text says 5x5 classifiers, not their dilation. The 1/8 network is Table 1's row 13 (12, field of view 392). For
the 1/16 network we read 6: its field of view of 400 pixels is the nearest, and one of 784 would exceed the images.
"""

from experiments import base
from experiments.fcrn import fcrn101_voc

# stride and dilation of the classifier in training, options of the model in testing, then the paper's accuracy, mean
# accuracy and mIoU (%)
ROWS = {
    "row1": (16, 6, {}, 93.49, 80.96, 72.19),
    "row2": (16, 6, {"simulation": True}, 93.75, 81.71, 72.96),
    "row3": (16, 6, {"output_stride": 8, "dilation": 12, "simulation": True}, 93.83, 81.98, 73.24),
    "row4": (8, 12, {}, 93.87, 81.87, 73.41),
    "row5": (8, 12, {"simulation": True}, 93.94, 82.13, 73.65),
}


def get_config(arg=None):
    """`arg`: "row1" to "row5". Raises ValueError for another."""
    stride, dilation, testing, accuracy, mean_accuracy, miou = base.choose(ROWS, arg)
    c = fcrn101_voc.get_config()
    c.model.update(output_stride=stride, dilation=dilation, dropouts=(0.0,) * 4)
    c.loss.ohem_keep = 0
    c.evaluate.options = testing
    row = f"Table 3 row {arg[len('row') :]}"
    c.paper.update(row=row, miou=miou, accuracy=accuracy, mean_accuracy=mean_accuracy)
    return c
