"""What a training is to do: every part of a recipe, and how one is read from its file."""
