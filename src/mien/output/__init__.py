"""Results become pictures, tables and files."""

from __future__ import annotations

from mien.output._thumbnails import Thumbnails
from mien.output.draw import draw
from mien.output.heatmap import heat
from mien.output.palette import COLOURS, text_on
from mien.output.parquet import ParquetWriter
from mien.output.speech_plot import sketch, speech_plot, write_speech_plot
from mien.output.speech_tables import speech_summary, speech_table
from mien.output.tables import CsvWriter, JsonLinesWriter, face_table, to_json
from mien.output.video_page import video_page, write_video_page
from mien.output.video_plot import plot_timeline, write_timeline
from mien.output.video_summary import video_summary, video_table
from mien.output.video_tables import VideoCsvWriter, VideoLinesWriter, VideoParquetWriter
from mien.output.wav import save_wav
from mien.output.write import encode_jpeg, encode_png, write_image, write_wav

__all__ = [
    "COLOURS",
    "CsvWriter",
    "JsonLinesWriter",
    "ParquetWriter",
    "Thumbnails",
    "VideoCsvWriter",
    "VideoLinesWriter",
    "VideoParquetWriter",
    "draw",
    "encode_jpeg",
    "encode_png",
    "face_table",
    "heat",
    "plot_timeline",
    "save_wav",
    "sketch",
    "speech_plot",
    "speech_summary",
    "speech_table",
    "text_on",
    "to_json",
    "video_page",
    "video_summary",
    "video_table",
    "write_image",
    "write_speech_plot",
    "write_timeline",
    "write_video_page",
    "write_wav",
]
