"""What was found in a result, in numbers, and what is odd about it."""
