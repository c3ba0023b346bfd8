"""All of mien but training, data sets and the command line, which have hooks of their own; the models and cascades."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

_APART = ("mien.train", "mien.evaluate", "mien.data", "mien.cli", "mien._pyinstaller")

hiddenimports = collect_submodules("mien", filter=lambda name: not name.startswith(_APART))
datas = collect_data_files("mien") + collect_data_files("cv2", includes=["data/*.xml"])
