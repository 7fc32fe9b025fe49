"""Ablations of DID on CamVid: did.md Table 3.

`EXP=did_table3:row7`. Paper: the figures below, mIoU on test with tiles at five scales. Otherwise `did_camvid`, without
its last stage on train+val. "Dilation" is block 4's in rows 3 to 16, where block 3 always has 2.

Rows 1 and 2 are "deeplabv1-res50", from ImageNet and from scratch: `fcrn` at stride 16, whose last stage then has the
table's dilation of 2 (the authors' code has 2 and 4 in the last two). A 3x3 classifier makes up the 23.7M parameters;
its dilation of 6 is the code's. Rows 13 and 14 are read as without deep supervision, though the table prints ".ds" for
them too: the text compares row 14 with 15 to show what deep supervision brings, and row 13's 14.4M parameters are those
of one head.
"""

from experiments import base
from experiments.did import did_camvid

DENSE30, DENSE58 = (6, 8, 8, 8), (6, 12, 24, 16)

# start of the encoder, steps, then the paper's test mIoU (%) and parameters (M)
RESNET50 = {
    "row1": ("imagenet", 9_900, 61.0, 23.7),
    "row2": ("", 44_800, 59.8, 23.7),
}
# growth, units, stem, dilation of block 4, compression, decoder, smoothing, deep supervision, crop, steps,
# then the paper's test mIoU (%) and parameters (M)
DENSE = {
    "row3": (24, DENSE58, "3x3", 4, 1.0, "plain", 1, False, 321, 73_600, 59.9, 7.6),
    "row4": (36, DENSE30, "7x7", 2, 0.5, "plain", 1, False, 321, 32_000, 54.9, 2.9),
    "row5": (36, DENSE30, "7x7", 4, 0.5, "plain", 1, False, 321, 32_000, 56.0, 2.9),
    "row6": (36, DENSE30, "7x7", 8, 0.5, "plain", 1, False, 321, 32_000, 55.6, 2.9),
    "row7": (36, DENSE30, "3x3", 4, 0.5, "plain", 1, False, 321, 38_400, 58.8, 3.2),
    "row8": (36, DENSE30, "3x3", 4, 1.0, "plain", 1, False, 321, 44_000, 60.0, 5.7),
    "row9": (48, DENSE30, "3x3", 4, 1.0, "plain", 1, False, 321, 60_800, 61.3, 9.6),
    "row10": (48, DENSE30, "3x3", 4, 1.0, "plain", 1, False, 353, 67_200, 61.3, 9.6),
    "row11": (48, DENSE30, "3x3", 4, 1.0, "plain", 1, False, 385, 83_200, 59.2, 9.6),
    "row12": (48, DENSE30, "3x3", 4, 1.0, "plain", 1, False, 321, 171_000, 63.4, 9.6),
    "row13": (48, DENSE30, "3x3", 4, 1.0, "did", 3, False, 321, 67_200, 63.7, 14.4),
    "row14": (48, DENSE30, "3x3", 4, 1.0, "did", 1, False, 321, 67_200, 64.5, 11.6),
    "row15": (48, DENSE30, "3x3", 4, 1.0, "did", 1, True, 321, 67_200, 65.7, 11.6),
    "row16": (48, DENSE30, "3x3", 4, 1.0, "did", 1, True, 321, 182_000, 68.3, 11.6),
}
ROWS = {**RESNET50, **DENSE}
# row in Table 4, IoU of `did_camvid.COLUMNS` and accuracy (%) there
TABLE4 = {
    "row1": ("row 5", (80.9, 75.1, 89.8, 81.6, 36.5, 94.0, 45.5, 34.6, 7.8, 78.3, 46.9), 90.35),
    "row16": ("row 8", did_camvid.CLASSES, 92.6),
}


def get_config(arg=None):
    """`arg`: "row1" to "row16". Raises ValueError for another."""
    *settings, steps, miou, parameters = base.choose(ROWS, arg)
    c = did_camvid.get_config()
    (_resnet50 if arg in RESNET50 else _dense)(c, *settings)
    c.train.steps = steps
    c.paper = {"row": f"Table 3 row {arg[len('row') :]}", "data": "CamVid test", "split": "test"}
    c.paper.update(miou=miou, parameters=parameters)
    if arg in TABLE4:
        row, classes, accuracy = TABLE4[arg]
        c.paper.update(row=f"{c.paper.row}, Table 4 {row}", accuracy=accuracy)
        c.paper.classes = dict(zip(did_camvid.COLUMNS, classes))
    return c


def _resnet50(c, encoder):
    c.model = {"name": "fcrn", "depth": 50, "output_stride": 16, "kernel": 3, "dilation": 6}
    c.train.encoder = encoder


def _dense(c, growth, units, stem, dilation, compression, decoder, smoothing, deep, crop):
    c.model.update(growth=growth, units=units, dilations=(1, 1, 2, dilation), stem=stem, compression=compression)
    c.model.update(decoder=decoder, smoothing=smoothing, deep_supervision=deep)
    c.data.crop = (crop, crop)
