"""DID on PASCAL VOC, from scratch: what its recipe becomes there.

Paper: no figure; did.md has no results on PASCAL VOC. Its networks start from nothing, for which VOC's 10,582 images
are few, so MS-COCO comes first (`coco`), then VOC's augmented training set (`trainaug`), each for the updates of
`did_camvid` and with its recipe: crops of 321x321, 22 at a time, random scales and flips, Adam at 1e-3. `trainaug` goes
on at a tenth of that. `scratch` is VOC alone. Images of MS-COCO with fewer than 1000 pixels of VOC's classes are left
out.

Data: data/coco_for_voc (`make data DATASET=coco_for_voc` says how), with VOC in data/pascal_voc
(`ARGS=--config.dataset.options.voc=...` for another folder).

  make train EXP=did_voc:scratch && make evaluate EXP=did_voc:scratch
  make train EXP=did_voc:coco && make train EXP=did_voc:trainaug && make evaluate EXP=did_voc:trainaug
"""

from experiments import base
from experiments.did import did_camvid

# data set, its options, training split, learning rate, run that it starts from
ROWS = {
    "scratch": ("pascal_voc", {}, "trainaug", 1e-3, ""),
    "coco": ("coco_for_voc", {"voc": "data/pascal_voc"}, "train2017+val2017", 1e-3, ""),
    "trainaug": ("pascal_voc", {}, "trainaug", 1e-4, "runs/did_voc_coco"),
}


def get_config(arg=None):
    """`arg`: "scratch", "coco" or "trainaug". Raises ValueError for another."""
    data, options, training, rate, start = base.choose(ROWS, arg)
    c = did_camvid.get_config()
    c.dataset.name = data
    c.dataset.options = options
    c.dataset.train_split = training
    c.data.cache = False
    c.schedule.learning_rate = rate
    c.train.init = start
    c.train.validate_every = 5000
    c.paper = {}
    return c
