"""What do the pages load? A few files, all of them ours to serve; they are read once, when the service starts. No HTTP."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import msgspec

from app.errors import NotFound

FOLDER = Path(__file__).parent / "static"
OURS = ("watcher.css", "watcher.js", "reference.js", "icon.svg")
# from npm, put there by `make assets`
TAKEN = ("vendor/pico.min.css", "vendor/htmx.min.js", "vendor/chart.umd.min.js")

_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_VERSION_DIGITS = 12


class Asset(msgspec.Struct, frozen=True):
    """A file as it is sent."""

    body: bytes
    zipped: bytes
    media_type: str
    version: str


class Assets:
    """The files by their names."""

    def __init__(self) -> None:
        """Reads them. Those that are not there are not missed until they are asked for."""
        self._files = {path.name: _read(path) for name in (*OURS, *TAKEN) if (path := FOLDER / name).is_file()}

    @property
    def are_complete(self) -> bool:
        """Whether `make assets` was done."""
        return len(self._files) == len(OURS) + len(TAKEN)

    def find(self, name: str) -> Asset:
        """Raises NotFound."""
        if name not in self._files:
            raise NotFound
        return self._files[name]

    def address(self, name: str) -> str:
        """Below the service's own address."""
        version = self._files[name].version if name in self._files else "missing"
        return f"/static/{name}?v={version}"


def _read(path: Path) -> Asset:
    body = path.read_bytes()
    version = hashlib.sha256(body).hexdigest()[:_VERSION_DIGITS]
    return Asset(body, gzip.compress(body, 9, mtime=0), _TYPES[path.suffix], version)
