"""Data are prepared: faces cut from images, images asked from services, tables written for training."""
