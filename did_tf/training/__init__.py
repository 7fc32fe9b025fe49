"""Training: the trainer's loop, its update, what is supervised and how, losses, optimizers, schedules, devices."""
