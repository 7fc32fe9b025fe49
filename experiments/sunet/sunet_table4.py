"""Multigrid against strides in dilated modules, SUNet-7-128 on PASCAL VOC: sunet.md Table 4.

`EXP=sunet_table4:row1-strided`. Paper: the figures below, mIoU on val, whole images at one scale. Each row of the table
has two networks, "Strided conv" and "Multigrid". The former we read as strides and the block's one dilation (2 in block
3, 4 in block 4) together: that drops "alternate feature points", as section 7.3 says. Otherwise `sunet_voc`. The
multigrid networks are rows 8 and 4 of Table 5.
"""

from experiments import base
from experiments.sunet import sunet_voc

# output stride, multigrid, batch size, then the paper's mIoU (%)
ROWS = {
    "row1-strided": (8, False, 12, 65.99),
    "row1-multigrid": (8, True, 12, 78.64),
    "row2-strided": (16, False, 22, 78.25),
    "row2-multigrid": (16, True, 22, 78.95),
}


def get_config(arg=None):
    """`arg`: "row1-strided", "row1-multigrid", "row2-strided", "row2-multigrid". Raises ValueError for another."""
    output_stride, multigrid, batch, miou = base.choose(ROWS, arg)
    c = sunet_voc.get_config()
    c.model.update(output_stride=output_stride, multigrid=multigrid)
    c.train.batch_size = batch
    row, network = arg[len("row") :].split("-")
    c.paper.update(row=f"Table 4 row {row} ({network})", miou=miou)
    return c
