"""Results become images, tables and files.

Some functions have the name of their module and are imported from there, such as `mien.output.draw.draw`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien._lazy import lazy_getattr

if TYPE_CHECKING:
    from mien.output._thumbnails import Thumbnails as Thumbnails
    from mien.output.heatmap import heat as heat
    from mien.output.palette import COLORS as COLORS
    from mien.output.palette import text_on as text_on
    from mien.output.parquet import ParquetWriter as ParquetWriter
    from mien.output.speech_plot import sketch as sketch
    from mien.output.speech_plot import write_speech_plot as write_speech_plot
    from mien.output.speech_tables import speech_summary as speech_summary
    from mien.output.speech_tables import speech_table as speech_table
    from mien.output.tables import CsvWriter as CsvWriter
    from mien.output.tables import JsonLinesWriter as JsonLinesWriter
    from mien.output.tables import face_table as face_table
    from mien.output.tables import to_json as to_json
    from mien.output.tables import write_json as write_json
    from mien.output.video_page import write_video_page as write_video_page
    from mien.output.video_plot import plot_timeline as plot_timeline
    from mien.output.video_plot import write_timeline as write_timeline
    from mien.output.video_summary import video_table as video_table
    from mien.output.video_tables import VideoCsvWriter as VideoCsvWriter
    from mien.output.video_tables import VideoLinesWriter as VideoLinesWriter
    from mien.output.video_tables import VideoParquetWriter as VideoParquetWriter
    from mien.output.wav import save_wav as save_wav
    from mien.output.write import encode_jpeg as encode_jpeg
    from mien.output.write import encode_png as encode_png
    from mien.output.write import write_image as write_image
    from mien.output.write import write_wav as write_wav

__all__ = [
    "COLORS",
    "CsvWriter",
    "JsonLinesWriter",
    "ParquetWriter",
    "Thumbnails",
    "VideoCsvWriter",
    "VideoLinesWriter",
    "VideoParquetWriter",
    "encode_jpeg",
    "encode_png",
    "face_table",
    "heat",
    "plot_timeline",
    "save_wav",
    "sketch",
    "speech_summary",
    "speech_table",
    "text_on",
    "to_json",
    "video_table",
    "write_image",
    "write_json",
    "write_speech_plot",
    "write_timeline",
    "write_video_page",
    "write_wav",
]

__getattr__ = lazy_getattr(
    __name__,
    {
        "COLORS": "mien.output.palette",
        "CsvWriter": "mien.output.tables",
        "JsonLinesWriter": "mien.output.tables",
        "ParquetWriter": "mien.output.parquet",
        "Thumbnails": "mien.output._thumbnails",
        "VideoCsvWriter": "mien.output.video_tables",
        "VideoLinesWriter": "mien.output.video_tables",
        "VideoParquetWriter": "mien.output.video_tables",
        "encode_jpeg": "mien.output.write",
        "encode_png": "mien.output.write",
        "face_table": "mien.output.tables",
        "heat": "mien.output.heatmap",
        "plot_timeline": "mien.output.video_plot",
        "save_wav": "mien.output.wav",
        "sketch": "mien.output.speech_plot",
        "speech_summary": "mien.output.speech_tables",
        "speech_table": "mien.output.speech_tables",
        "text_on": "mien.output.palette",
        "to_json": "mien.output.tables",
        "video_table": "mien.output.video_summary",
        "write_image": "mien.output.write",
        "write_json": "mien.output.tables",
        "write_speech_plot": "mien.output.speech_plot",
        "write_timeline": "mien.output.video_plot",
        "write_video_page": "mien.output.video_page",
        "write_wav": "mien.output.write",
    },
)
