"""FC-DenseNet103 on CamVid, the closest rival of DID (did.md Table 4 row 7): RMSprop, crops of 224, batch 3.

Paper (Jegou et al. 2017): 66.9 % mIoU and 91.5 % accuracy on test, 9.4M parameters (9,322,091 that are trained, and
the moving statistics), after a second stage on whole images (`fcdensenet103_camvid_finetune`). It stops where
validation no longer gains; here the run has the 750 epochs that the authors' code allows, and best/ keeps what
validated best. The rate falls by 0.995 per epoch, here a little at every update. Testing uses moving statistics of
batch normalisation, the authors' those of the test image itself. "Vertical flips" are horizontal ones in their code.
Their L2 of 1e-4 is of the squares, not of their halves, and takes in the scales of batch normalisation: about 2e-4
here; 1e-4 is what both papers print.

  make train EXP=fcdensenet103_camvid && make evaluate EXP=fcdensenet103_camvid SPLIT=test
"""

from experiments import base
from experiments.did import did_camvid

FRAMES, EPOCHS = 367, 750
CLASSES = (83.0, 77.3, 93.0, 77.3, 43.9, 94.5, 59.6, 37.1, 37.8, 82.2, 50.5)  # did.md Table 4 row 7 (%)


def get_config():
    """The settings, see above."""
    c = base.get_config()
    c.model.name = "fc_densenet"
    c.data.crop = (224, 224)
    c.data.scale = (1.0, 1.0)
    c.data.aspect = 0.0
    c.optimizer.name = "rmsprop"
    c.optimizer.options.epsilon = 1e-6  # the authors' library's
    c.schedule.name = "exponential"
    c.schedule.final = 0.995**EPOCHS
    c.train.batch_size = 3
    c.train.steps = EPOCHS * FRAMES // c.train.batch_size
    c.paper.update(
        row="did.md Table 4 row 7", data="CamVid test", split="test", miou=66.9, accuracy=91.5, parameters=9.4
    )
    c.paper.classes = dict(zip(did_camvid.COLUMNS, CLASSES))
    return c
