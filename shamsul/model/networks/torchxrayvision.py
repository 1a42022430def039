"""Classifiers of TorchXRayVision, with the weights that it publishes.

Its DenseNet-121 and ResNet-50 have torchvision's layers and one input channel. They are built of
torchvision's: with the same weights they give the same logits, and no job needs the package.
TorchXRayVision's own outputs are probabilities that `op_norm` has bent so that each class's
operating point becomes 0.5. Here they are the logits before that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from shamsul.errors import InputError
from shamsul.model.networks.source import Source, Wanted
from shamsul.model.networks.torchvision import Torchvision
from shamsul.model.spec import Presentation
from shamsul.settings import unknown
from shamsul.size import told

CACHE = Path("~/.torchxrayvision/models_data")
"""Folder where TorchXRayVision keeps what it has downloaded."""


class TorchXRayVision(Source):
    """Classifiers that `torchxrayvision.models` knows by the name of their weights."""

    name: ClassVar[str] = "torchxrayvision"
    package: ClassVar[tuple[str, str] | None] = (
        "torchxrayvision",
        "pip install 'shamsul[torchxrayvision]'",
    )
    pickled: ClassVar[bool] = True

    def build(self, wanted: Wanted) -> nn.Module:
        """Build torchvision's network of that architecture for one channel."""
        architecture, side = _architecture(wanted.name)
        if wanted.size != (side, side):
            raise InputError(
                f"data.size: {wanted.name} sees {side} x {side} pixels, not {told(wanted.size)}; "
                f"set data.size: {side}"
            )
        return Torchvision().build(
            Wanted(architecture, wanted.outputs, wanted.channels, wanted.size, wanted.options)
        )

    def presentation(self, name: str) -> Presentation:
        """Return its presentation: one channel, black -1024 to white 1024."""
        return Presentation(scale=(-1024.0, 1024.0), mean=(0.0,), std=(1.0,))

    def outputs(self, name: str) -> tuple[str, ...]:
        """Return the findings of its outputs; those that were not trained have no name."""
        return tuple(self._published(name)["labels"])

    def trained(self, name: str) -> dict[str, Tensor]:
        """Return the published weights, from its cache, or downloaded to there."""
        from shamsul.model.weights import candidates, read, unpickled

        url = self._published(name)["weights_url"]
        file = CACHE.expanduser() / url.rpartition("/")[2]
        if not file.is_file():
            self._download(url, file)
        return candidates(unpickled(read(file)), file)[0][1]

    def _published(self, name: str) -> dict[str, Any]:
        self.check()
        from torchxrayvision import models

        known = [key for key in models.model_urls if "-" in key]
        if name not in known:
            raise InputError(f"model.network: torchxrayvision: {unknown(name, known, 'network')}")
        return dict(models.model_urls[name])

    def _download(self, url: str, file: Path) -> None:
        from torch import hub

        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            hub.download_url_to_file(url, str(file), progress=False)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"model.checkpoint: cannot fetch {url} ({error}); on a machine with network save "
                f"it, copy it here, and set `checkpoint: PATH`, or put it at {file}"
            ) from None


def _architecture(name: str) -> tuple[str, int]:
    """Return torchvision's name and the side of the images, from `densenet121-res224-chex`."""
    architecture, _, rest = name.partition("-res")
    side = rest.partition("-")[0]
    if not side.isdecimal():
        raise InputError(
            f"model.network: torchxrayvision/{name} is not known; a name is such as "
            "densenet121-res224-chex"
        )
    return architecture, int(side)
