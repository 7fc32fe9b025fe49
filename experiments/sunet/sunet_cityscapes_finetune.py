"""The last stage of SUNet-7-128 on Cityscapes (sunet.md section 7.4): train+val, batch norm frozen, from a trained run.

Paper: 75.3 % mIoU on test (Table 7 row 8), by "a similar training strategy as in PASCAL": there the last stage is on
train and val, with batch norm frozen and a rate ten times smaller. How long is not given: 10K iterations, a ninth of
the first stage, as 5K of 45K on PASCAL VOC. Its other stage there is MS-COCO at the beginning, which we leave out, for
"only the finer annotation set was used"; to begin with it, train `sunet_voc:coco` and then
`EXP=sunet_cityscapes ARGS=--config.train.encoder=runs/sunet_voc_coco`. There is no validation: val is trained on.

  make train EXP=sunet_cityscapes_finetune && make submit EXP=sunet_cityscapes_finetune SPLIT=test
  make train EXP=sunet_cityscapes_finetune:runs/other       starts from another run folder
"""

from experiments.sunet import sunet_cityscapes


def get_config(arg=None):
    """`arg`: run folder or weights file to start from; default runs/sunet_cityscapes."""
    c = sunet_cityscapes.get_config()
    c.dataset.train_split = "train+val"
    c.dataset.val_split = ""
    c.schedule.learning_rate = 2e-5
    c.train.encoder = ""
    c.train.init = arg or "runs/sunet_cityscapes"
    c.train.freeze_batch_norm = "all"
    c.train.steps = 10_000
    return c
