"""What a training does: the recipe and how it is read."""
