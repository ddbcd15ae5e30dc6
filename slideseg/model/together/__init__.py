"""Several networks, or several views of an image, as one network: their mean probabilities, smoothed if wanted."""
