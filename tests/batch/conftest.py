"""The media that every test of batches reads, and a plan of them."""

from batch_media import answers, media, plan

__all__ = ["answers", "media", "plan"]
