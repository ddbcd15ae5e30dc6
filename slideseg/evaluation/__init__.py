"""Compare segmentations with the truth: `slideseg.evaluate`."""
