"""Data are prepared: faces cut from pictures, pictures asked from services, tables written for training."""
