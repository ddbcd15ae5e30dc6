"""What is where while a network runs: pixels on their way to a GPU, and classes on their way back."""
