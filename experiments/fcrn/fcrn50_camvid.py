"""FCRN-50 on CamVid from scratch: what its recipe becomes without ImageNet.

Paper: no figure; its authors did not use CamVid. The network is theirs (stride 8, 5x5 classifier); its dilation is 6,
as one of 12 spans more than a crop. The recipe is DID's (`did_camvid`: Adam, crops of 321, batch 22), for as long as
it trains a ResNet-50 from scratch (did.md Table 3 row 2): batch norm is trained, and the loss is at full resolution,
since 367 images have no labels to waste. Only the learning rate is lower: at 1e-3 the steps of a classifier with 51,200
inputs add up, and the loss went from 2.4 to 11 within ten updates. Tested with whole images, as in the paper, and with
tiles, as in DID's.

  make train EXP=fcrn50_camvid && make evaluate EXP=fcrn50_camvid SPLIT=test
"""

from experiments.did import did_camvid


def get_config():
    """The settings, see above."""
    c = did_camvid.get_config()
    c.model = {"name": "fcrn", "depth": 50, "output_stride": 8, "kernel": 5, "dilation": 6}
    c.schedule.learning_rate = 2e-4
    c.train.steps = 44_800
    c.paper = {}
    return c
