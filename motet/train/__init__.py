"""Losses, optimizers, the loop, checkpoints."""
