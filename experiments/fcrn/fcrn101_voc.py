"""FCRN-101 on PASCAL VOC: fcrn_online_bootstrapping.md Table 4 row 5, and the recipe of its other experiments.

Paper: 75.45 % mIoU, 94.27 % accuracy and 84.82 % mean accuracy on val, with the 512 hardest positions of each crop
and dropout. Whole images at one scale.

The paper says little of its recipe. From papers.md section 4: momentum, batch, crop, scales, weight decay, and the
loss at the resolution of the features ("512 hardest" counts positions of the score map). Not said anywhere, so ours:
2.5e-4 with a polynomial decay (the rate of duc_hdc.md, whose network is the closest), 30K iterations (45 epochs), and
the dropout's rates, which are those of the authors' later work.

The paper's networks are trained at the stride of the table. To train one as if its stride were half of that, with four
shifted passes per update (section 3.2): `ARGS="--config.train.shifted_passes=True --config.model.simulation=True"`.

  make train EXP=fcrn101_voc && make evaluate EXP=fcrn101_voc
"""

from experiments import base

DROPOUTS = (0.0, 0.0, 0.3, 0.5)


def get_config():
    """The settings, see above."""
    c = base.get_config()
    c.dataset.name = "pascal_voc"
    c.dataset.train_split = "trainaug"
    c.model = {"name": "fcrn", "depth": 101, "output_stride": 8, "kernel": 5, "dilation": 12, "dropouts": DROPOUTS}
    c.data.crop = (504, 504)
    c.data.scale = (0.7, 1.3)
    c.data.aspect = 0.0
    c.data.cache = False
    c.loss.resolution = "features"
    c.loss.ohem_keep = 512
    c.optimizer.name = "sgd"
    c.optimizer.options.momentum = 0.9
    c.optimizer.weight_decay = 5e-4
    c.schedule.name = "poly"
    c.schedule.learning_rate = 2.5e-4
    c.train.steps = 30_000
    c.train.batch_size = 16
    c.train.freeze_batch_norm = "statistics"
    c.train.encoder = "imagenet"
    c.paper.update(row="Table 4 row 5", data="VOC val", split="val", miou=75.45, accuracy=94.27, mean_accuracy=84.82)
    return c
