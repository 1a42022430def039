"""The methods that suit a network and take seconds, chosen where none is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shamsul.explain import registry
from shamsul.explain.base import TOGETHER
from shamsul.plan import passes
from shamsul.size import at_a_time

if TYPE_CHECKING:
    from shamsul.explain.base import Method
    from shamsul.model.classifier import Classifier


def suited(
    classifier: Classifier, classes: int, forward: float, seconds: float, notes: list[str]
) -> list[str]:
    """Return the names of the methods that suit a network and take seconds, cheapest first.

    Parameters
    ----------
    classifier : classifier to explain.
    classes : number of classes to explain.
    forward : seconds of a forward pass of an image.
    seconds : seconds that the methods may take together, by an estimate.
    notes : list to which sentences on what was left out are added.
    """
    refused: dict[str, str] = {}
    estimates: dict[str, float] = {}
    for name, cls in registry.methods().items():
        # Controls, readers and other libraries' versions of the same methods are there by name.
        if cls.cost == "no_model" or ".peers." in cls.__module__:
            continue
        method = registry.bare(cls)
        if reason := classifier.structure.refusal(method.needs):
            refused[name] = reason
        elif method.train_inputs or method.supervised:
            refused[name] = "needs radiographs or masks of a run"
        else:
            estimates[name] = _estimate(method, classifier, classes) * forward
    chosen: list[str] = []
    left = seconds
    for name in sorted(estimates, key=lambda each: (estimates[each], each)):
        if estimates[name] > left:
            break
        left -= estimates[name]
        chosen.append(name)
    slow = {name: took for name, took in estimates.items() if name not in chosen}
    if slow:
        told = ", ".join(f"{name} ({took:.0f} s)" for name, took in sorted(slow.items()))
        notes.append(
            f"Left out because all would take more than {seconds:.0f} s: {told}. Name a method to "
            "have it."
        )
    for reason in dict.fromkeys(refused.values()):
        names = ", ".join(name for name, why in refused.items() if why == reason)
        notes.append(f"Not for this network or radiograph: {names}; {reason}.")
    return chosen


def _estimate(method: Method, classifier: Classifier, classes: int) -> float:
    """Return the forward passes that a method takes for one image, repeated to fill its group."""
    return passes(method, classes) * at_a_time(TOGETHER[method.cost], classifier.size)
