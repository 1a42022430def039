"""Made-up results of a run, with every table that the report reads, for its tests."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pandas as pd
from PIL import Image

from shamsul.data.masks import MASK_COLUMNS, encode
from shamsul.evaluate import (
    agreement,
    comparisons,
    features,
    localisation,
    markers,
    per_image,
    probes,
    quality,
    sign_treatments,
    thresholds,
)
from shamsul.evaluate.gains import gains
from shamsul.evaluate.parameters import Comparison, Measurement, Stratification
from shamsul.evaluate.pxap import pxap
from shamsul.evaluate.regressions import regressions
from shamsul.evaluate.reliability import reliability
from shamsul.evaluate.repeats import repeats
from shamsul.evaluate.strata import strata
from shamsul.geometry import Frame
from shamsul.labels import CLASSES, MARKER
from shamsul.report.run import Results
from shamsul.storage.heatmaps import Heatmaps, RunLengths, write_heatmaps
from shamsul.storage.images import Images, write_images
from shamsul.tables import TABLES
from tests.frames import score

SIGNED = ("lrp_z", "kernel_shap")
KINDS = {"random": "control", "mean_mask": "control", "reader": "human"}


def configuration(methods, classes=CLASSES, rules=("otsu", "tuned", "fixed", "best")):
    return {
        "run": "fake",
        "seed": 7,
        "classes": list(classes),
        "data": {"sources": [{"adapter": "phantom", "confounder": {"class_name": classes[-1]}}]},
        "explain": {"methods": [{"method": method} for method in methods], "classes": None},
        "evaluate": {
            "classes": None,
            "thresholds": list(rules),
            "fixed_threshold": 0.5,
            "min_masks": 10,
            "sign": "positive",
            "min_patients": 5,
            "margin": 0.05,
            "confidence": 0.95,
            "baseline": "random",
            "true_positive": 0.5,
            "chexlocalize": {"threshold": "otsu", "true_pos_only": True},
        },
        "report": {"title": "Phantoms explained", "gallery": 6},
    }


def make(
    folder,
    methods=("grad_cam", "lrp_z", "mean_mask", "reader", "random"),
    classes=("Cardiomegaly", "Edema"),
    count=24,
    kind="segmentation",
    prefix="image",
):
    """Radiographs with bright ellipses, their masks, heatmaps near and far, and all tables."""
    generator, apart = np.random.default_rng(0), np.random.default_rng(2)
    config = configuration(methods, classes)
    names, frames, rows, masks, small = [], [], [], [], []
    shape = count, len(classes)
    drawn, sizes = np.full(shape, "", object), np.ones((*shape, 2), np.int64)
    # Where nothing is found, the later methods are the more peaked.
    maps = {
        method: (apart.random((*shape, 14, 14)) ** (1 + 2 * m)).astype(np.float32)
        for m, method in enumerate(methods)
    }
    for i in range(count):
        name, height, width = f"{prefix}{i:03d}", 150 + 7 * (i % 5), 180 - 9 * (i % 4)
        frame = Frame.fit(height, width, 56, "pad")
        y, x = np.mgrid[:height, :width]
        lungs = sum(
            np.exp(-((((x / width - c) / 0.16) ** 2 + ((y / height - 0.5) / 0.3) ** 2) ** 2))
            for c in (0.28, 0.72)
        )
        image = 150 - 95 * lungs + generator.normal(0, 6, (height, width))
        labels = dict.fromkeys(classes, 0.0)
        for c, finding in enumerate(classes):
            if generator.random() > 0.75 / (1 + c / 4):
                continue
            labels[finding] = 1.0
            middle = generator.uniform(0.25, 0.75, 2)
            reach = generator.uniform(0.07, 0.16, 2)
            mask = ((y / height - middle[0]) / reach[0]) ** 2 + (
                (x / width - middle[1]) / reach[1]
            ) ** 2 < 1
            image += 45 * mask
            masks.append((name, finding, "x", kind, height, width, encode(mask), 1))
            if finding == classes[0] and i % 2:
                corner = (y < 12) & (x < 20)
                masks.append((name, MARKER, "x", "segmentation", height, width, encode(corner), 1))
            drawn[i, c] = encode(np.roll(mask, 6, axis=1))
            sizes[i, c] = height, width
            v, u = np.mgrid[:14, :14]
            v = ((v + 0.5) * 4 - frame.offset_y) / frame.scale_y / height - middle[0]
            u = ((u + 0.5) * 4 - frame.offset_x) / frame.scale_x / width - middle[1]
            for m, method in enumerate(methods):
                blob = np.exp(-(((u - 0.04 * m) / 0.15) ** 2) - (v / 0.15) ** 2)
                blob = blob + generator.normal(0, 0.1 + 0.08 * m, blob.shape)
                if method == "random":
                    blob = generator.random(blob.shape)
                maps[method][i, c] = blob if method in SIGNED else np.maximum(blob, 0)
        path = f"{i:03d}.png"
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / path)
        split = "tune" if i % 3 == 0 else "test"
        person = ("frontal", ("AP", "PA")[i % 2], ("F", "M")[i // 2 % 2], 30.0 + 3 * i)
        rows.append(
            (name, f"p{i // 2}", split, "fake", path, height, width, 8, *person, *labels.values())
        )
        names.append(name)
        frames.append(frame)
        small.append(np.zeros((56, 56), np.uint8))
    columns = ["image_id", "patient_id", "split", "source", "path", "height", "width", "depth"]
    columns += ["view", "projection", "sex", "age", *classes]
    manifest = pd.DataFrame(rows, columns=columns)
    table = pd.DataFrame(masks, columns=MASK_COLUMNS)
    images = Images(np.array(small), names, frames)
    write_images(images, folder / "images.h5")
    by_name = dict(zip(names, frames, strict=True))
    shards, scored = [], []
    for method in methods:
        heatmap, explained, covers = maps[method], np.ones(shape, bool), "frame"
        if KINDS.get(method) == "human":
            heatmap, explained, covers = RunLengths(drawn, sizes), drawn != "", "radiograph"
        shard = Heatmaps(
            *(heatmap, names, explained, list(classes), method, {}, "0" * 64), covers=covers
        )
        write_heatmaps(shard, folder / f"{re.sub('[^a-z_]', '', method)}.h5")
        shards.append(shard)
        scored.append(score(shard, by_name, table, classes))
    predictions = pd.DataFrame(
        [(i, c, 0.0, generator.random()) for i in names for c in classes],
        columns=["image_id", "class", "logit", "probability"],
    )
    seed, given = config["seed"], config["evaluate"]
    settings, comparison = Measurement.of(given), Comparison.of(given)
    stratification = Stratification.of(given)
    gathered = per_image.gather(
        pd.concat([scores for scores, _ in scored]), manifest, repeats(table)
    )
    tuned = thresholds.tune(gathered, settings)
    measured = per_image.per_image(gathered, tuned, manifest, predictions, settings)
    present = {name: name if name in methods else None for name in ("mean_mask", "reader")}
    roles = {"baseline": "random", "prior": present["mean_mask"], "radiologist": present["reader"]}
    shapes = features.of_masks(table)
    frames_of_test = {
        name: by_name[name] for name in manifest.loc[manifest["split"] == "test", "image_id"]
    }
    agreed = agreement.agree(shards, frames_of_test, classes)
    faithfulness, sanity = probes.summarise(probed(methods, manifest), manifest, settings)
    classification = pd.DataFrame(
        [("test", c, 0.8, 0.7, 0.88, 0.5, 0.4, 0.62, 5, 16, 8, "") for c in classes],
        columns=[
            *("split", "class", "auroc", "auroc_low", "auroc_high"),
            *("auprc", "auprc_low", "auprc_high", "n_positive", "n", "n_patients", "note"),
        ],
    )
    history = pd.DataFrame(
        {
            "epoch": range(1, 9),
            "learning_rate": 0.001,
            "train_loss": 0.2 + 0.4 / np.arange(1, 9),
            "tune_loss": 0.3 + 0.3 / np.arange(1, 9),
            "tune_auroc": 0.93 - 0.4 / np.arange(1, 9),
            "seconds": 1.5,
        }
    )
    runtime = pd.DataFrame(
        [
            ("train", "", 125.0, 200.0, 900.0),
            ("score", "a", 1.5, 1, 300),
            ("score", "b", 2.5, 2, 350),
        ],
        columns=["rule", "job", "seconds", "cpu_seconds", "max_rss_mb"],
    )
    errors, bins = reliability(predictions, manifest, settings)
    tables = {
        "classification": classification,
        "reliability": errors,
        "reliability_bins": bins,
        "history": history,
        "localisation": pd.concat(
            [localisation.localisation(measured, settings), pxap(gathered, settings)],
            ignore_index=True,
        ),
        "per_image": measured,
        "comparisons": comparisons.comparisons(measured, comparison, seed),
        "thresholds": tuned,
        "gains": gains(measured, comparison, roles, seed),
        "strata": strata(measured, manifest, shapes, stratification),
        "regressions": regressions(measured, shapes, stratification, roles, seed),
        "signs": sign_treatments.summarise(pd.concat([s for _, s in scored]), manifest, settings),
        "agreement": (
            agreement.summarise(agreed, manifest, settings)
            if len(agreed)
            else pd.DataFrame(columns=agreement.SUMMARY)
        ),
        "markers": markers.summarise(gathered, manifest, settings),
        "faithfulness": faithfulness,
        "sanity": sanity,
        "chexlocalize": theirs(methods, classes),
        "quality": pd.DataFrame(
            [("test", c, methods[-1], "conservation_error", 9, 0.02, 0.2, 0.3) for c in classes],
            columns=quality.COLUMNS,
        ),
        "runtime": runtime,
        **_of_the_data(manifest, table),
        "predictions": predictions,
        "manifest": manifest,
        "masks": table,
        "masked": pd.DataFrame({"class": classes}),
    }
    results = Results(
        tables,
        heatmaps=sorted(path for path in folder.glob("*.h5") if path.name != "images.h5"),
        images=[folder / "images.h5"],
        roots={"fake": folder},
        provenance={"commit": "25afe0e", "versions": {"numpy": np.__version__, "torch": "2.14"}},
    )
    return results, config


def _of_the_data(manifest, masks):
    """The tables on the data: one image of another view and two bad files in the only source."""
    splits = manifest["split"].value_counts()
    counts = {split: int(splits.get(split, 0)) for split in ("train", "tune", "test")}
    row = {
        "source": "fake", "listed": len(manifest) + 3, "rejected_rows": 0, "other_views": 1,
        "excluded": 0, "rejected_images": 2, **counts, "masks": len(masks), "rejected_masks": 0,
    }  # fmt: skip
    bad = [
        ("fake", "image", f"bad{n}", f"/data/bad{n}.png", 0, "", "is empty <b>") for n in range(2)
    ]
    return {
        "sources": pd.DataFrame([row]),
        "rejected": pd.DataFrame(bad, columns=list(TABLES["rejected"].columns)),
    }


def changed(results, **tables):
    """Results with other tables under these names; None takes one away."""
    tables = {name: t for name, t in {**results.tables, **tables}.items() if t is not None}
    return dataclasses.replace(results, tables=tables)


def probed(methods, manifest):
    """What the model may have said of the methods' heatmaps."""
    generator = np.random.default_rng(1)
    keys = [(name, fill, 0) for name in ("deletion", "insertion") for fill in ("mean", "blur")]
    keys += [(name, "", 0) for name in ("road", "max_sensitivity", "mprt", "random_logit")]
    keys += [("mprt", "", stage) for stage in (1, 2)]
    rows = [
        (image_id, "Edema", method, metric, fill, stage, True, generator.normal(0.5, 0.2))
        for image_id in manifest.loc[manifest["split"] == "test", "image_id"]
        for method in methods
        for metric, fill, stage in keys
    ]
    columns = ["image_id", "class", "method", "metric", "fill", "stage", "explained", "value"]
    return pd.DataFrame(rows, columns=columns)


def theirs(methods, classes):
    """What CheXlocalize's scripts may have said."""
    rows = [
        (method, metric, name, 5, 16, 0.1, 0.2 + 0.1 * m, 0.5)
        for m, method in enumerate(methods)
        for metric in ("iou", "hit_rate")
        for name in classes
    ]
    names = ["method", "metric", "class", "n", "n_images", "lower", "mean", "upper"]
    table = pd.DataFrame(rows, columns=names)
    table = table.assign(threshold="otsu", probability_cutoff=np.nan)
    return table.assign(percent_decrease=np.nan, percent_lower=np.nan, percent_upper=np.nan)
