"""SUNet on PASCAL VOC with the augmented training set, at output stride 16: sunet.md section 7.2 and Table 3.

Paper: mIoU on val below, whole images at one scale. It starts from a classification run, `sunet_imagenet`, whose
encoder runs/sunet_imagenet_VARIANT must hold. Weight decay is on kernels alone, as everywhere here; the authors' code
also decays the rest, and trains the new layers ten times as fast, of which the paper says nothing.

  make train EXP=sunet_voc:7-128 && make evaluate EXP=sunet_voc:7-128
  make train EXP=sunet_voc:7-128 ARGS=--config.train.encoder=runs/other      starts from another run
"""

from experiments import base, sunet_imagenet

# row of the paper's Table 3, its mIoU (%)
ROWS = {"64": ("row 2", 72.85), "128": ("row 3", 77.16), "7-128": ("row 4", 78.95)}


def get_config(arg=None):
    """`arg`: "64", "128" or "7-128", the default. Raises ValueError for another."""
    variant = arg or sunet_imagenet.LARGEST
    row, miou = base.choose(ROWS, variant)
    c = base.get_config()
    c.dataset.name = "pascal_voc"
    c.dataset.train_split = "trainaug"
    c.model.update(sunet_imagenet.network(variant))
    c.data.crop = (512, 512)
    c.data.scale = (0.5, 2.0)
    c.data.aspect = 0.0
    c.data.rotation = 10.0
    c.data.cache = False
    c.optimizer.name = "sgd"
    c.optimizer.options.momentum = 0.95
    c.schedule.name = "cosine"
    c.schedule.learning_rate = 2e-4
    c.train.encoder = f"runs/sunet_imagenet_{variant}"
    c.train.steps = 45_000
    c.train.validate_every = 5000
    c.paper.update(row=f"Table 3 {row}", data="VOC val", split="val", miou=miou)
    return c
