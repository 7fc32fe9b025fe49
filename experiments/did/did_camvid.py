"""DID on CamVid: the paper's final row (did.md Table 3 row 16).

Paper: 68.3 % mIoU and 92.6 % accuracy on test, 11.6M parameters (Tables 4 and 6 say 11.2M), 182K iterations on crops of
321x321, then 100 epochs on train+val (`did_camvid_finetune`). From the authors' code (papers.md section 1): batches
of 22, random scales, Adam's epsilon, testing in tiles at five scales, and flips from left to right, where the paper
says "vertical".

  make train EXP=did_camvid && make evaluate EXP=did_camvid SPLIT=test
"""

from experiments import base

# Columns of Table 4, and its row 8 (%)
COLUMNS = ("building", "tree", "sky", "car", "sign", "road", "pedestrian", "fence", "pole", "pavement", "bicyclist")
CLASSES = (85.1, 79.4, 93.8, 83.5, 46.4, 94.9, 62.5, 37.8, 33.5, 84.8, 49.8)


def get_config():
    """The settings, see above."""
    c = base.get_config()
    c.model.growth = 48
    c.model.units = (6, 8, 8, 8)
    c.model.dilations = (1, 1, 2, 4)
    c.optimizer.options.epsilon = 2.5e-4
    c.train.steps = 182_000
    c.evaluate.protocols = ("whole", "tiles")
    c.paper.update(
        row="Table 3 row 16, Table 4 row 8", data="CamVid test", split="test", miou=68.3, accuracy=92.6, parameters=11.6
    )
    c.paper.classes = dict(zip(COLUMNS, CLASSES))
    return c
