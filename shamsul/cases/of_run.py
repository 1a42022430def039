"""One radiograph of a finished run, with the run's own maps, masks and measures."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shamsul.errors import InputError
from shamsul.geometry import Frame, to_original
from shamsul.metrics import PREFIX, kind_of
from shamsul.report.case.content import GROUPS, Case, Explanation, Layer, Segmentation
from shamsul.settings import unknown

if TYPE_CHECKING:
    from shamsul.evaluate.sign import Sign
    from shamsul.results import Run
    from shamsul.storage.heatmaps import Heatmaps

logger = logging.getLogger(__name__)

SHOWN = ("iou", "hit_rate", "relevance_mass", "auprc", "auroc")
"""Recorded measures of a page, for each kind of mask."""


def of_run(
    run: Run,
    image_id: str,
    *,
    roots: Mapping[str, str | Path] | None = None,
    sign: Sign | None = None,
) -> Case:
    """Return the case of a radiograph of a finished run.

    Parameters
    ----------
    run : run's results.
    image_id : image of tune or test, as the manifest names it.
    roots : folder of each data source by its name; as the run's configuration has it when absent. A
        radiograph whose file is not there is shown as the model saw it.
    sign : treatment of negative relevance; `evaluate.sign` of the run when absent.

    Raises
    ------
    InputError
        The image is not in the run, or has no heatmaps.
    """
    manifest = run.table("manifest")
    rows = manifest[manifest["image_id"] == image_id]
    if rows.empty:
        raise InputError(f"{run.folder}: {unknown(image_id, list(manifest['image_id']), 'image')}")
    row = rows.iloc[0].to_dict()
    notes: list[str] = []
    settings = _settings(run, notes)
    known = _roots(run, settings) if roots is None else roots
    image, frame = _radiograph(run, row, known, notes)
    explanations = list(_of_shards(run, image_id, str(row["split"]), frame))
    if not explanations:
        raise InputError(
            f"{run.folder}: no heatmaps of {image_id}, which is in {row['split']}; "
            "images of tune and test have them"
        )
    predictions = run.table("predictions")
    own = predictions[predictions["image_id"] == image_id]
    probabilities = dict(zip(own["class"], own["probability"].astype(float), strict=True))
    masks = run.table("masks")
    checkpoint = run.folder / "model" / "checkpoint.pt"
    made = {"Run": str(run.folder), "Image": image_id, "Patient": str(row["patient_id"])}
    made |= {name.capitalize(): str(row[name]) for name in ("split", "view") if name in row}
    if checkpoint.is_file():
        made |= _network(checkpoint)
    return Case(
        image_id=image_id,
        image=image,
        height=frame.height,
        width=frame.width,
        probabilities=probabilities,
        explanations=explanations,
        masks=masks[masks["image_id"] == image_id].to_dict("records"),
        labels={name: float(row[name]) for name in probabilities if name in row},
        tuned=_tuned(run),
        measures=_measures(run, image_id),
        sign=sign or settings.get("evaluate", {}).get("sign", "positive"),
        provenance=made,
        notes=notes,
    )


def _settings(run: Run, notes: list[str]) -> dict[str, Any]:
    """Return the run's configuration, empty where its report has not written it yet."""
    if (run.folder / "configuration.json").is_file():
        return run.configuration
    notes.append("The run has no report yet, so negative relevance counts as none.")
    return {}


def _roots(run: Run, settings: dict[str, Any]) -> dict[str, Path]:
    """Return the folder of each source; a path is relative to the folder that holds `results`."""
    found = {source.name: source for source in sorted((run.folder / "phantom").glob("*/"))}
    if settings:
        from shamsul import experiment

        start = run.folder.resolve().parents[1]
        try:
            configured = experiment.read(settings).roots
        except InputError as error:  # It was written by another release.
            logger.warning("%s: %s; give the folders of its sources as roots", run.folder, error)
            return found
        found = {name: start / root for name, root in configured.items()} | found
    return found


def _radiograph(
    run: Run, row: Mapping[Any, Any], roots: Mapping[str, str | Path], notes: list[str]
) -> tuple[NDArray[np.uint8], Frame]:
    """Return the radiograph, in its own pixels where its file is known, and its frame."""
    from shamsul.data.reading.files import load
    from shamsul.storage.images import read_images

    image_id = row["image_id"]
    for path in sorted((run.folder / "images").glob(f"{row['split']}-*.h5")):
        shard = read_images(path)
        if image_id in shard.image_id:
            place = shard.image_id.index(image_id)
            frame, seen = shard.frames[place], shard.image[place]
            break
    else:
        raise InputError(f"{run.folder}: image {image_id!r} is in no image shard")
    source = str(row["source"])
    if source in roots and (file := Path(roots[source]) / str(row["path"])).is_file():
        return load(file, int(row["depth"])), frame
    notes.append(
        f"The file of the radiograph is not known ({row['path']} of source {source}), so it is "
        f"shown as the model saw it, in {frame.size[0]} x {frame.size[1]} pixels."
    )
    return np.rint(to_original(seen.astype(np.float32), frame)).astype(np.uint8), frame


def _of_shards(run: Run, image_id: str, split: str, frame: Frame) -> Iterator[Explanation]:
    """Yield the maps of all methods that have any of an image, in the order of their costs."""
    from shamsul.explain import registry
    from shamsul.storage.heatmaps import heatmap_names, read_heatmaps

    found: list[Explanation] = []
    for name in run.methods:
        for path in sorted((run.folder / "heatmaps" / name).glob(f"{split}-*.h5")):
            if image_id not in heatmap_names(path)[0]:
                continue
            shard = read_heatmaps(path)
            layers = dict(_layers(shard, shard.image_id.index(image_id), frame))
            method = str(shard.parameters.get("method", ""))
            cls = registry.methods().get(method)
            signed = any(
                isinstance(layer.values, np.ndarray) and bool((layer.values < 0).any())
                for layer in layers.values()
            )
            found.append(
                Explanation(
                    name=name,
                    title=cls.title if cls is not None and name == method else name,
                    cost=cls.cost if cls else "no_model",
                    signed=signed,
                    layers=layers,
                    parameters={k: v for k, v in shard.parameters.items() if v is not None},
                )
            )
    order = list(GROUPS)
    yield from sorted(found, key=lambda each: (order.index(each.cost), each.name))


def _layers(shard: Heatmaps, row: int, frame: Frame) -> Iterator[tuple[str, Layer]]:
    """Yield the maps of an image by class, where there are any."""
    from shamsul.storage.heatmaps import RunLengths

    own = shard.frame_of(frame)
    for column, name in enumerate(shard.classes):
        if not shard.explained[row, column]:
            continue
        if isinstance(shard.heatmap, RunLengths):
            height, width = (int(side) for side in shard.heatmap.size[row, column])
            counts = str(shard.heatmap.counts[row, column])
            if counts:
                yield name, Layer(Segmentation(height, width, counts), own)
        else:
            yield name, Layer(shard.heatmap[row, column], own)


def _tuned(run: Run) -> dict[str, dict[str, int]]:
    """Return the levels of the tuned thresholds, those of outlines before others."""
    found: dict[str, dict[str, int]] = {}
    if "thresholds" not in run.tables:
        return found
    table = run.table("thresholds").sort_values("kind", ascending=False)
    for row in table.to_dict("records"):
        found.setdefault(row["method"], {}).setdefault(row["class"], int(row["level"]))
    return found


def _measures(run: Run, image_id: str) -> list[dict[str, Any]]:
    """Return the recorded measures of an image: method, class, metric, rule and value.

    Those of the outlines come first, measure by measure.
    """
    if "per_image" not in run.tables:
        return []
    table = run.table("per_image")
    table = table[(table["image_id"] == image_id) & (table["threshold_rule"] != "best")]
    order = {prefix + name: n for n, (prefix, name) in enumerate(product(PREFIX.values(), SHOWN))}
    table = table[table["metric"].isin(list(order))]
    table = table.assign(place=table["metric"].map(order))
    return [
        {
            "method": row["method"],
            "class": row["class"],
            "metric": row["metric"],
            "kind": kind_of(row["metric"]),
            "rule": row["threshold_rule"],
            "value": float(row["value"]),
        }
        for row in table.sort_values(["place", "threshold_rule"], kind="stable").to_dict("records")
    ]


def _network(checkpoint: Path) -> dict[str, str]:
    """Return the network of a checkpoint and its digest."""
    from shamsul.model.description import describe

    said = describe(checkpoint)
    return {"Network": said.spec.network, "Checkpoint": said.digest}
