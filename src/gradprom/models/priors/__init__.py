"""Networks that stand for a prior on clean images, whatever the inverse problem."""
