"""The methods of a run: their order in the report, and which of them explain at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from shamsul.explain.base import Kind

KINDS: dict[Kind, tuple[str, str]] = {
    "explanation": ("an explanation method", "explanation methods"),
    "control": ("a control", "controls"),
    "human": ("a reader", "readers"),
}
"""Names of one method and of several methods of a kind."""
Origin = Literal["checkpoint", "elsewhere"]
"""Origin of maps that do not explain the run's own network, or not it alone: another checkpoint
that the run knows, or files made elsewhere."""
REFERENCES = {"prior": "position prior", "radiologist": "radiologist", "baseline": "baseline"}
"""Names of the methods that others are compared with, in the order of the report."""


@dataclass(frozen=True)
class Methods:
    """The configured methods.

    Attributes
    ----------
    names : names in the order of the configuration.
    kinds : kind of each; a method that is not named here is an explanation.
    baseline : the method that the others are compared with first.
    foreign : origin of the methods that do not explain the run's own network, by name.
    failing : reason of each explanation that fails the sanity gate, by name.
    simulated : readers that are no humans: the run generates what they have drawn.
    """

    names: Sequence[str]
    kinds: Mapping[str, Kind]
    baseline: str
    foreign: Mapping[str, Origin] = field(default_factory=dict)
    failing: Mapping[str, str] = field(default_factory=dict)
    simulated: Collection[str] = ()

    def kind(self, method: str) -> Kind:
        """Return the kind of a method."""
        return self.kinds.get(method, "explanation")

    def explains(self, method: str) -> bool:
        """Return true for an explanation, false for a control or a reader."""
        return self.kind(method) == "explanation"

    def competes(self, method: str) -> bool:
        """Return true for an explanation that may be called best: the gate lets it pass."""
        return self.explains(method) and method not in self.failing

    def reader(self, method: str) -> str:
        """Return what a reader is called in a sentence."""
        return "the simulated reader" if method in self.simulated else "the radiologist"

    def of(self, origin: Origin) -> list[str]:
        """Return the explanations of that origin."""
        return [n for n in self.names if self.explains(n) and self.foreign.get(n) == origin]

    def ordered(self, names: Collection[str]) -> list[str]:
        """Return those names in the order of the report."""
        return ordered(names, self.names)

    def counted(self) -> str:
        """Return the number of methods of each kind, as part of a sentence."""
        counts = {kind: sum(self.kind(name) == kind for name in self.names) for kind in KINDS}
        parts = [
            one if counts[kind] == 1 else f"{counts[kind]} {several}"
            for kind, (one, several) in KINDS.items()
            if counts[kind]
        ]
        return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def ordered(names: Collection[str], wanted: Sequence[str]) -> list[str]:
    """Return names in the order wanted, the others behind them in alphabetical order."""
    present = set(names)
    first = dict.fromkeys(name for name in wanted if name in present)
    return [*first, *sorted(present - first.keys())]
