"""One classifier of several, whose outputs are averaged."""

from __future__ import annotations

from collections.abc import Sequence

from shamsul.errors import InputError
from shamsul.model.classifier import Classifier
from shamsul.model.networks.build import build, complete
from shamsul.model.spec import Average, Spec


def averaged(members: Sequence[Classifier], paths: Sequence[str], average: Average) -> Classifier:
    """Make the classifier of several of one kind.

    Parameters
    ----------
    members : classifiers, two or more.
    paths : file of each, for messages.
    average : quantity that is averaged.

    Raises
    ------
    InputError
        They are not of one kind, or are ensembles themselves.
    """
    first = members[0].spec
    for path, member in zip(paths, members, strict=True):
        for key in Spec.model_fields:
            if getattr(member.spec, key) != getattr(first, key):
                raise InputError(
                    f"model.checkpoints: {path} differs in its {key} from {paths[0]}; average "
                    "networks of one kind alone"
                )
    if first.members > 1:
        raise InputError(f"model.checkpoints: {paths[0]} is an ensemble; list its members")
    spec = first.model_copy(update={"members": len(members), "average": average})
    network = build(spec, seed=0)
    network.load_state_dict(
        {
            f"members.{number}.{name}": tensor
            for number, member in enumerate(members)
            for name, tensor in member.inner.state_dict().items()
        }
    )
    return Classifier(complete(network, spec), spec)
