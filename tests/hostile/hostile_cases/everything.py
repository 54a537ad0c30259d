"""All cases."""

from __future__ import annotations

from hostile_cases import protocols

CASES = (*protocols.CASES,)
