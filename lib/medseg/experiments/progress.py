"""One tidy line of progress: live in JupyterLab, a single line in the report, a file for the sweep's terminal."""

import json
from pathlib import Path
from typing import Any

from medseg import atomic


class Progress:
    """Progress of a long step of a notebook; ``folder`` has it as ``progress.json``, unless it is None."""

    def __init__(self, folder: Path | None) -> None:
        self._file = folder / "progress.json" if folder else None
        self._handle: Any = None

    def update(self, done: int, total: int, text: str) -> None:
        """Show that ``done`` of ``total`` steps are behind us; ``text`` says the rest in a few words."""
        if self._file:
            atomic.write_json(self._file, {"done": done, "total": total, "text": text})
        line = {"text/plain": text}
        if self._handle is None:
            self._handle = _display_handle(line)
        elif self._handle:
            self._handle.update(line, raw=True)


def read(folder: Path) -> dict[str, Any]:
    """Content of ``progress.json`` in ``folder``: done, total, text; {} where there is none yet, or it is damaged."""
    try:
        found = json.loads((folder / "progress.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and {"done", "total", "text"} <= set(found) else {}


def _display_handle(line: dict[str, str]) -> Any:
    """A handle to update, or False outside a notebook."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return False
    return display(line, raw=True, display_id=True) if get_ipython() is not None else False
