"""Every setting with its default. An experiment calls `get_config` here and states only what differs."""

import ml_collections


def get_config():
    """The settings that all experiments share: the recipe of did.md section 3.3."""
    c = ml_collections.ConfigDict()
    c.seed = 0

    c.dataset = ml_collections.ConfigDict()
    c.dataset.name = "camvid"
    c.dataset.folder = ""  # empty: data/NAME
    c.dataset.prepared = ""  # folder of records from `make prepare` to train and validate on; empty: on the files
    c.dataset.options = ml_collections.ConfigDict()  # of the data set's class
    c.dataset.train_split = "train"  # several are joined by "+"
    c.dataset.val_split = "val"  # empty: no validation

    c.model = ml_collections.ConfigDict()
    c.model.name = "did"  # its options join with their defaults, see `did_tf.models.options`

    c.data = ml_collections.ConfigDict()
    c.data.crop = (321, 321)  # height, width
    c.data.scale = (0.7, 1.5)  # of height and width
    c.data.aspect = 0.15  # the width's scale is within 1 -+ aspect of the height's, and within scale
    c.data.flip_horizontal = True
    c.data.flip_vertical = False
    c.data.rotation = 0.0  # degrees, up to this either way
    c.data.elastic = 0.0  # smooth displacements of a standard deviation of up to this many pixels of the crop
    c.data.elastic_nodes = 3  # along each side, where they are drawn (Ronneberger et al. 2015)
    c.data.balance = 0.0  # share of crops about a pixel of a class drawn among those of the image
    c.data.brightness = 0.0  # of each band's standard deviation, up to this is added or taken
    c.data.contrast = 0.0  # distances from each band's mean times 1 -+ up to this
    c.data.light_bands = ()  # names of the bands that both are of; empty: all but depth, heights and the like
    c.data.saturation = 0.0  # red, green and blue: distances from grey times 1 -+ up to this
    c.data.hue = 0.0  # likewise: turned by up to this part of the colour circle either way
    c.data.colour_noise = 0.0  # likewise: moved along the principal components of ImageNet's (Krizhevsky: 0.1)
    c.data.noise = 0.0  # Gaussian, its standard deviation up to this part of each band's own
    c.data.blur = 0.0  # Gaussian, its standard deviation up to this many pixels of the crop
    c.data.erase = 0.0  # share of crops of which a box shows nothing but the bands' means; its label stays
    c.data.erase_area = (0.02, 0.4)  # of the crop, what the box has (Zhong et al. 2020)
    c.data.cutmix = 0.0  # share of crops with a box of another crop
    c.data.classmix = 0.0  # share of crops with all of half of another crop's classes
    c.data.paste = 0.0  # share of crops with objects of another crop: each by an even chance
    c.data.paste_classes = ()  # names of the classes whose connected regions are these objects
    c.data.mixup = 0.0  # share of crops that are blended with another crop; these four shares: at most 1 together
    c.data.mixup_alpha = 0.2  # of the beta distribution of the two weights (Zhang et al. 2018: 0.2 to 0.4)
    c.data.area = ()  # classification: the crop is a box of this part (low, high) of the image; empty: scale and aspect
    c.data.ratio = (3 / 4, 4 / 3)  # width / height of that box
    c.data.cache = True  # decode once, keep in memory

    c.loss = ml_collections.ConfigDict(type_safe=False)  # weights are a tuple or a map
    c.loss.terms = ml_collections.ConfigDict()  # {term: weight}; empty: cross entropy alone
    c.loss.label_smoothing = 0.0  # of cross_entropy: part of each label that all classes share
    c.loss.focal_gamma = 2.0  # of focal: the larger, the less right pixels count
    c.loss.tversky_alpha = 0.3  # of tversky: weight of false positives
    c.loss.tversky_beta = 0.7  # and of misses
    c.loss.ohem_threshold = 0.0  # keep pixels whose true class has at most this probability; 0: off
    c.loss.ohem_keep = 0  # and at least this many of the hardest; 0: off
    c.loss.ohem_scope = "image"  # or "batch"
    c.loss.class_balance = 0.0  # class weights (median frequency / frequency) ** this; 0: off
    c.loss.class_frequency = "all"  # of pixels: among all, or "segnet": among those of the images that have the class
    c.loss.class_weights = ()  # or given outright: one per class, or {id or name: weight}, 1 for the others
    c.loss.output_weights = ml_collections.ConfigDict()  # {output: weight}; empty: plain mean
    c.loss.resolution = "full"  # or "features": the network's own resolution, against labels sampled at its points

    c.optimizer = ml_collections.ConfigDict()
    c.optimizer.name = "adam"
    c.optimizer.options = ml_collections.ConfigDict()  # further arguments of the class
    c.optimizer.weight_decay = 1e-4
    c.optimizer.decay = "l2"  # or "decoupled"
    c.optimizer.undecayed = ()  # parts of the network whose kernels don't decay: "encoder", "decoder", "head"
    c.optimizer.multipliers = ml_collections.ConfigDict()  # {part: factor of its learning rate}; 0 fixes its weights
    c.optimizer.clip_norm = 0.0  # of the whole gradient; 0: off

    c.schedule = ml_collections.ConfigDict()
    c.schedule.name = "step"  # "step", "poly", "cosine", "exponential", "constant"
    c.schedule.learning_rate = 1e-3
    c.schedule.warmup = 0  # steps
    c.schedule.boundaries = (2 / 3,)  # "step": as shares of the run
    c.schedule.divisor = 10.0  # "step"
    c.schedule.power = 0.9  # "poly"
    c.schedule.final = 0.01  # "exponential": share of the rate that is left at the end

    c.train = ml_collections.ConfigDict()
    c.train.steps = 1000  # updates
    c.train.extend = 0  # so many more for a run that has made them; the schedule is then that of all
    c.train.hours = 0.0  # of training: the schedule ends with them where the steps have not; 0: any time
    c.train.patience = 0  # validations without a new best that end the run; 0: off
    c.train.batch_size = 22  # global: over all devices and micro-batches
    c.train.accumulate = 1  # micro-batches per update, one after the other
    c.train.parts = 1  # of each, side by side; as many as cores is fastest on few
    c.train.recompute = False  # keep few features for the backward pass, and compute the others again
    c.train.jit_compile = False  # XLA compiles what a device computes of an update; for GPUs
    c.train.precision = "float32"  # "float32_fast", "bfloat16", "float16"; "auto": the fastest here
    c.train.devices = "auto"  # "auto", "cpu", "gpu", "gpu:N", "cpu*N"
    c.train.deterministic = False  # the same bits in every run, for some time
    c.train.sync_batch_norm = False  # statistics of the global batch; else of each replica, averaged for use
    c.train.ema = 0.0  # decay of the weight average that is validated and kept; 0: off
    c.train.freeze_batch_norm = ""  # "statistics": moving ones in place of the batch's; "all": scales and offsets too
    c.train.freeze_batch_norm_from = 0  # step from which it is so
    c.train.shifted_passes = False  # four shifted passes per update (FCRN section 3.2)
    c.train.init = ""  # run folder or weights file to start from
    c.train.init_options = ()  # options of the model that are meant to be others than in that run
    c.train.encoder = ""  # or for the encoder alone, likewise, or "imagenet"
    c.train.log_every = 20  # steps
    c.train.checkpoint_every = 200
    c.train.validate_every = 1000
    c.train.validation = "whole"  # how, one of evaluate.protocols
    c.train.keep_checkpoints = 2
    c.train.panels = 3  # validation images shown in TensorBoard
    c.train.progress = True

    c.evaluate = ml_collections.ConfigDict()
    c.evaluate.protocols = ("whole",)  # the whole image, or that at "scales"; "tiles" of the crop's size, "tiles_once"
    c.evaluate.scales = (0.5, 0.75, 1.0, 1.25, 1.5)  # of "scales" and "tiles"
    c.evaluate.overlap = 1 / 3  # of neighbouring tiles, of "tiles" and "tiles_once"
    c.evaluate.flip = False
    c.evaluate.turns = False  # average with each tile, or the whole image, turned by 90, 180 and 270 degrees
    c.evaluate.blend = "uniform"  # of overlapping tiles, or "gaussian": they count less towards their borders
    c.evaluate.average = "probabilities"  # or "logits"
    c.evaluate.options = ml_collections.ConfigDict()  # options of the model that are others here than in training

    c.crf = ml_collections.ConfigDict()  # of --crf in testing; from duc_hdc.md section 4.1.2
    c.crf.iterations = 10  # of mean field, as DeepLab's
    c.crf.appearance_weight = 3.0  # w1: near pixels that look alike are of a class; 0: not used
    c.crf.appearance_xy = 15.0  # sigma alpha, pixels
    c.crf.appearance_colour = 3.0  # sigma beta, in values of 8-bit bands
    c.crf.smoothness_weight = 3.0  # w2: near pixels are of a class; 0: not used
    c.crf.smoothness_xy = 1.0  # sigma gamma, pixels

    c.paper = ml_collections.ConfigDict()  # the paper's figures, for reports alone
    return c


def choose(rows, arg):
    """The row of a table that an experiment's argument names. Raises ValueError for another."""
    if arg not in rows:
        what = "no row given, as in EXP=NAME:ROW" if arg is None else f"unknown row {arg!r}"
        raise ValueError(f"{what}; known: {', '.join(rows)}")
    return rows[arg]
