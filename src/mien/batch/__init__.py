"""Batches: millions of images, videos and audio files, read by many processes, on one machine or a cluster.

A batch is a plan, fixed at its first run, whose parts are read in any order and never twice: see `Plan`.
"""

from mien.batch.export import Status, export_table, iter_rows, read_status
from mien.batch.inputs import Entry, list_entries
from mien.batch.parts import NESTED, PartReader
from mien.batch.plan import Plan, Settings
from mien.batch.run import LocalPool, Task, run_parts

__all__ = [
    "NESTED",
    "Entry",
    "LocalPool",
    "PartReader",
    "Plan",
    "Settings",
    "Status",
    "Task",
    "export_table",
    "iter_rows",
    "list_entries",
    "read_status",
    "run_parts",
]
