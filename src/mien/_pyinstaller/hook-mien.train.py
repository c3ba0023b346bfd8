"""All of mien.train, whose modules are imported by their names."""

from PyInstaller.utils.hooks import collect_submodules

hiddenimports = collect_submodules("mien.train")
