"""Networks of any origin: one module for each source, and what builds a network of one."""

from __future__ import annotations
