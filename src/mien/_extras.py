"""The only door for optional packages."""

from __future__ import annotations

import importlib
from types import ModuleType

from mien.errors import MissingExtraError

__all__ = ["import_extra"]


def import_extra(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional package, or say which extra brings it.

    Parameters
    ----------
    module : str
        Dotted name of the module.
    extra : str
        The extra of mien that installs it.
    purpose : str
        What needs it, as the beginning of the sentence ``"<purpose> needs <module>"``.

    Returns
    -------
    types.ModuleType
        The imported module.

    Raises
    ------
    MissingExtraError
        If the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # A broken dependency inside an installed package must not be reported as a missing extra.
        if error.name is None or not (module == error.name or module.startswith(error.name + ".")):
            raise
        raise MissingExtraError(
            f'{purpose} needs {module.split(".")[0]}: pip install "mien[{extra}]"', name=module
        ) from error
