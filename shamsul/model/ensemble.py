"""Ensembles: several networks of one architecture, whose outputs are averaged."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from shamsul.model.outputs import CLOSEST
from shamsul.model.spec import Average, Kind


class Ensemble(nn.Module):
    """Networks with the same outputs, (N, K, S, S) -> (N, M), averaged output by output.

    Attributes
    ----------
    members : networks.
    average : quantity that is averaged. CheXpert's authors averaged probabilities (Irvin et al.,
        AAAI 2019), as CheXlocalize's did.
    kind : meaning of the members' outputs, and of the ensemble's.
    """

    def __init__(self, members: Sequence[nn.Module], average: Average, kind: Kind) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.average = average
        self.kind = kind

    def forward(self, images: Tensor) -> Tensor:
        """Return the averaged outputs (N, M)."""
        outputs = torch.stack([member(images) for member in self.members])
        if self.average == self.kind:
            return outputs.mean(0)
        if self.kind == "probabilities":
            return torch.logit(outputs, CLOSEST).mean(0).sigmoid()
        # The logit of the mean probability, mean p / mean (1 - p), without a probability that is
        # rounded to 1.
        return logsigmoid(outputs).logsumexp(0) - logsigmoid(-outputs).logsumexp(0)
