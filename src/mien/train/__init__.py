"""The training wing: nets, augmentation, runs and export.  Needs the extra ``train``."""
