"""Networks that look at the whole image, run in windows of one size whose probabilities are blended where they overlap."""
