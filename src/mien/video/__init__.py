"""Faces followed through frames, and what they show over time."""
