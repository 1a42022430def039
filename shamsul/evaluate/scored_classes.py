"""Classes that are scored: those that are asked for and have expert masks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence


def scored(wanted: Sequence[str], masked: Iterable[str]) -> list[str]:
    """Return the wanted classes that have masks, in their order.

    Without a mask of a class on any image there is nothing to compare its maps with.

    Parameters
    ----------
    wanted : classes to score.
    masked : classes with masks on tune or test.
    """
    found = set(masked)
    return [name for name in wanted if name in found]


def omissions(
    masked: Iterable[str], explained: Sequence[str], listed: Collection[str] | None
) -> Iterator[str]:
    """Yield a sentence on classes that have masks and no scores, or were listed and have no masks.

    Parameters
    ----------
    masked : classes with masks on tune or test.
    explained : classes that have heatmaps.
    listed : `evaluate.classes`; None where every explained class with masks is scored.
    """
    found = list(masked)
    wanted = [name for name in explained if listed is None or name in listed]
    unexplained = [name for name in found if name not in explained]
    unlisted = [name for name in found if name in explained and name not in wanted]
    bare = [name for name in wanted if name not in found]
    if unexplained:
        yield (
            f"not scored, though they have masks: {', '.join(unexplained)}; they are not in "
            "explain.classes"
        )
    if unlisted:
        yield (
            f"not scored, though they have masks: {', '.join(unlisted)}; they are not in "
            "evaluate.classes"
        )
    if bare:
        yield f"not scored, since they have no masks on tune or test: {', '.join(bare)}"
