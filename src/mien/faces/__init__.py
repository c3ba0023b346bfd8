"""Where the faces are in a picture, and the crop that a model wants to see."""
