"""Where the faces are in an image, and the crop that a model wants to see."""
