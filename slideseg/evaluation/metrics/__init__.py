"""What a segmentation is judged by: pixels (`semantic`), membranes of cells (`isbi`), objects (`instances`)."""
