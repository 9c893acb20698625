"""Settings of embedder ``acoustic``."""

from __future__ import annotations

from soundgate.runtime.config import Section


class Settings(Section):
    """Settings of embedder ``acoustic``: none, everything about it is fixed."""
