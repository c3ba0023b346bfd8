"""Sounds of the voice: spectrograms, where speech is, changes of time and pitch."""
