"""Datasets as their publishers ship them, found by name and read as one table, `Samples`; splits, audit and joining."""

from mien.data.registry import DATASETS, Dataset, dataset_names, load_dataset, load_images
from mien.data.samples import Samples

__all__ = ["DATASETS", "Dataset", "Samples", "dataset_names", "load_dataset", "load_images"]
