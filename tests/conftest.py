"""What holds for every test: a property is judged by what it finds, never by how fast the machine is."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("kijabi", deadline=None)
settings.load_profile("kijabi")
