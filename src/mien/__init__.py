"""mien reads emotion from faces: offline, fast, and honest about its numbers."""

__version__ = "0.1.0"
