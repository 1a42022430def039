"""Image classifiers of Hugging Face Transformers in a local folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from shamsul.errors import InputError, first_line
from shamsul.model.networks.source import Source, Wanted
from shamsul.model.spec import Presentation
from shamsul.size import written


class Logits(nn.Module):
    """A network of Transformers that returns its logits alone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.model = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits: (N, K, H, W) -> (N, M)."""
        logits: Tensor = self.model(pixel_values=images).logits
        return logits


class HuggingFace(Source):
    """Folders that `AutoModelForImageClassification` reads: config.json and weights."""

    name: ClassVar[str] = "huggingface"
    package: ClassVar[tuple[str, str] | None] = (
        "transformers",
        "pip install 'shamsul[huggingface]'",
    )

    def build(self, wanted: Wanted) -> nn.Module:
        """Build the network that config.json describes, its weights random."""
        self.check()
        from transformers import AutoConfig, AutoModelForImageClassification

        described = dict(wanted.options.get("config") or _read(wanted.name, "config.json"))
        described.pop("id2label", None)
        described.pop("label2id", None)
        kind = described.pop("model_type", "")
        try:
            config: Any = AutoConfig.for_model(kind, **described)
            config.num_labels = wanted.outputs
            config.num_channels = wanted.channels
            if hasattr(config, "image_size"):
                config.image_size = written(wanted.size)
            network = AutoModelForImageClassification.from_config(config)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"model.network: huggingface/{wanted.name}: Transformers makes no image "
                f"classifier of its config.json ({first_line(error)})"
            ) from None
        return Logits(network)

    def options(self, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the content of config.json, so that the folder is not needed again."""
        if "config" in options:
            return dict(options)
        return {**options, "config": _read(name, "config.json")}

    def presentation(self, name: str) -> Presentation | None:
        """Return the presentation of preprocessor_config.json, None where there is no such file."""
        if not Path(name, "preprocessor_config.json").is_file():
            return None
        said = _read(name, "preprocessor_config.json")
        factor = 255 * float(said.get("rescale_factor", 1 / 255)) if _does(said, "rescale") else 255
        if not _does(said, "normalize"):
            channels = int(_read(name, "config.json").get("num_channels", 3))
            said["image_mean"], said["image_std"] = [0.0] * channels, [1.0] * channels
        return Presentation(
            scale=(0.0, round(factor, 6)),
            mean=tuple(said["image_mean"]),
            std=tuple(said["image_std"]),
        )

    def outputs(self, name: str) -> tuple[str, ...] | None:
        """Return the names of `id2label`; None where Transformers made them up."""
        found = _read(name, "config.json").get("id2label") or {}
        names = tuple(str(found[key]) for key in sorted(found, key=int))
        return None if not names or names[0] == "LABEL_0" else names

    def trained(self, name: str) -> dict[str, Tensor]:
        """Return the weights of the folder, under the names that Transformers has for them now.

        Those in the files are of the release that wrote them.
        """
        self.check()
        _read(name, "config.json")
        from transformers import AutoModelForImageClassification

        try:
            network = AutoModelForImageClassification.from_pretrained(
                name, local_files_only=True, trust_remote_code=False, weights_only=True
            )
        except Exception as error:  # a damaged file shows in many ways
            raise InputError(
                f"model.checkpoint: Transformers cannot read the weights in {name} "
                f"({first_line(error)}); fetch or make them again"
            ) from None
        return {f"model.{key}": tensor for key, tensor in network.state_dict().items()}


def _does(said: Mapping[str, Any], step: str) -> bool:
    return bool(said.get(f"do_{step}", True))


def _read(folder: str, file: str) -> dict[str, Any]:
    path = Path(folder, file)
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        raise InputError(
            f"model.network: {path} does not exist; give the folder that `save_pretrained` wrote"
        ) from None
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: is no readable JSON ({error})") from None
