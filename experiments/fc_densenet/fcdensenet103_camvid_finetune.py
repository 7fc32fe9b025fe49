"""The second stage of FC-DenseNet103 on CamVid: whole images at a rate of 1e-4, from a trained run.

Paper: 66.9 % mIoU and 91.5 % accuracy on test together with the stage before it. It goes on until 50 epochs bring
validation nothing; here it has 100 epochs, and best/ keeps what validated best. The batch is not stated: 3 as before.

  make train EXP=fcdensenet103_camvid_finetune && make evaluate EXP=fcdensenet103_camvid_finetune SPLIT=test
  make train EXP=fcdensenet103_camvid_finetune:runs/other       starts from another run folder
"""

from experiments.fc_densenet import fcdensenet103_camvid

EPOCHS = 100


def get_config(arg=None):
    """`arg`: run folder or weights file to start from; default runs/fcdensenet103_camvid."""
    c = fcdensenet103_camvid.get_config()
    c.data.crop = (360, 480)
    c.schedule.learning_rate = 1e-4
    c.schedule.final = 0.995**EPOCHS
    c.train.init = arg or "runs/fcdensenet103_camvid"
    c.train.steps = EPOCHS * fcdensenet103_camvid.FRAMES // c.train.batch_size
    return c
