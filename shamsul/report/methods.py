"""The methods of a run: their order in the report, and which of them explain at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["explanation", "control", "human"]
KINDS: dict[Kind, tuple[str, str]] = {
    "explanation": ("an explanation method", "explanation methods"),
    "control": ("a control", "controls"),
    "human": ("a radiologist", "radiologists"),
}
"""What one and several of a kind are called."""
Origin = Literal["checkpoint", "elsewhere"]
"""Of maps that are not, or not only, of the run's own network: they explain another checkpoint that
the run knows, or were made elsewhere."""


@dataclass(frozen=True)
class Methods:
    """The configured methods.

    Attributes
    ----------
    names : in the order of the configuration.
    kinds : of each; what it does not name is an explanation.
    baseline : the method that the others are compared with first.
    foreign : the origin of those that do not explain the run's own network, by name.
    """

    names: Sequence[str]
    kinds: Mapping[str, Kind]
    baseline: str
    foreign: Mapping[str, Origin] = field(default_factory=dict)

    def kind(self, method: str) -> Kind:
        """What a method is."""
        return self.kinds.get(method, "explanation")

    def explains(self, method: str) -> bool:
        """Whether it is an explanation, neither control nor reader."""
        return self.kind(method) == "explanation"

    def of(self, origin: Origin) -> list[str]:
        """Explanations of that origin."""
        return [n for n in self.names if self.explains(n) and self.foreign.get(n) == origin]

    def ordered(self, names: Collection[str]) -> list[str]:
        """Those names in the order of the report."""
        return ordered(names, self.names)

    def counted(self) -> str:
        """How many of each kind there are, as part of a sentence."""
        counts = {kind: sum(self.kind(name) == kind for name in self.names) for kind in KINDS}
        parts = [
            one if counts[kind] == 1 else f"{counts[kind]} {several}"
            for kind, (one, several) in KINDS.items()
            if counts[kind]
        ]
        return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def ordered(names: Collection[str], wanted: Sequence[str]) -> list[str]:
    """Names in the order in which they are wanted, the others behind in that of the alphabet."""
    present = set(names)
    first = dict.fromkeys(name for name in wanted if name in present)
    return [*first, *sorted(present - first.keys())]
