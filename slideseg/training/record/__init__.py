"""What a training leaves: its folder, checkpoints, curves and pictures."""
