"""The phantom generator: what it draws is where its masks say, and its tree is CheXpert's."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pycocotools import mask as coco
from scipy.ndimage import binary_dilation, find_objects, label

from shamsul.data.adapters.chexpert import ChexpertSource
from shamsul.data.adapters.phantom import PHANTOM_FILES, Confounder, PhantomSource
from shamsul.data.masks import decode
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError
from shamsul.labels import CLASSES, LOCALISED, MARKER, PARENTS
from shamsul.phantom import export
from shamsul.phantom.patients import PATHOLOGIES, Study, reported_labels, studies, with_parents
from shamsul.phantom.radiograph import EVIDENT, Drawing, render
from shamsul.phantom.second_reader import AGREEMENT, FALSE_ALARM, OVERLOOKED, second_reading

SEED, HEIGHT = 7, 160
DRAWN = (*PATHOLOGIES, "Support Devices")
THEIRS = ["Airspace Opacity" if name == "Lung Opacity" else name for name in LOCALISED]


def small(**changes) -> PhantomSource:
    settings = {"patients": {"train": 5, "tune": 4, "test": 4}, "height": 96, **changes}
    return PhantomSource(adapter="phantom", **settings)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def course(first: int, last: int) -> list[Study]:
    return [s for n in range(first, last) for s in studies(SEED, f"patient{n:05d}")]


def with_finding(name: str, patient: int, ap: bool, severity: float) -> Study:
    study = studies(SEED, f"patient{patient:05d}")[0]
    return replace(study, ap=ap, findings={name: severity})


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("tree")
    export.export(directory, SEED, small(), lateral=True, annotations=True)
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_two_workers_write_the_same_bytes(tree, tmp_path):
    export.export(tmp_path, SEED, small(), lateral=True, annotations=True, workers=2)
    assert contents(tmp_path) == contents(tree)


def test_an_image_does_not_depend_on_the_others(tree, tmp_path):
    more = small(patients={"tune": 5, "test": 1})
    export.export(tmp_path, SEED, more)
    both = contents(tree).keys() & {k for k in contents(tmp_path) if k.endswith(".jpg")}
    assert len(both) >= 5
    assert all(contents(tree)[name] == contents(tmp_path)[name] for name in both)
    last, first = course(1, 3)[-1], course(1, 3)[0]
    alone = render(SEED, last, 96).image
    render(SEED, first, 96)
    assert np.array_equal(alone, render(SEED, last, 96).image)
    assert not np.array_equal(alone, render(SEED + 1, last, 96).image[: len(alone)])


def test_patients_and_poses_differ():
    images = [render(SEED, study, 96).image for study in course(1, 6)]
    assert len({image.shape for image in images}) > 3
    assert len({image.tobytes() for image in images}) == len(images)


def test_labels_obey_the_hierarchy_and_reports_do():
    for study in course(1, 200):
        said = reported_labels(SEED, study)
        for labels in (study.labels, said):
            assert list(labels) == list(CLASSES)
            for child, parent in PARENTS.items():
                assert labels[child] != 1 or labels[parent] == 1
            sick = any(labels[name] in (1, -1) for name in PATHOLOGIES)
            assert not (sick and labels["No Finding"] == 1)
        assert study.labels["No Finding"] == (not any(study.labels[n] for n in PATHOLOGIES))
        # A report may leave out or hedge, but not invent or deny.
        assert all(v in (None, -1, study.labels[n]) for n, v in said.items())


def test_labels_from_worked_cases():
    assert [n for n, v in with_parents({}).items() if v] == ["No Finding"]
    assert [n for n, v in with_parents({"Support Devices": 1}).items() if v] == [
        "No Finding",
        "Support Devices",
    ]
    assert [n for n, v in with_parents({"Pneumonia": 1}).items() if v] == [
        "Lung Opacity",
        "Consolidation",
        "Pneumonia",
    ]


def test_every_finding_is_common_enough():
    labels = [study.labels for study in course(1, 900)]
    share = {name: np.mean([row[name] for row in labels]) for name in CLASSES}
    assert 0.2 < share["No Finding"] < 0.4
    assert min(share.values()) > 0.08, share
    assert 1.4 < len(labels) / 899 < 1.8


def test_findings_go_together_as_in_a_clinic():
    labels = [study.labels for study in course(1, 900)]

    def rate(name, given):
        return np.mean([row[name] for row in labels if row[given]])

    for name, given in [("Pleural Effusion", "Edema"), ("Cardiomegaly", "Edema"),
                        ("Pleural Effusion", "Atelectasis")]:  # fmt: skip
        assert rate(name, given) > 1.3 * np.mean([row[name] for row in labels])
    portable = [study.ap for study in course(1, 900) if study.labels["Support Devices"]]
    assert np.mean(portable) > np.mean([study.ap for study in course(1, 900)]) + 0.05


@pytest.mark.parametrize("study", course(80_001, 80_013), ids=lambda study: study.image_id)
def test_a_mask_where_positive_and_only_there(study):
    radiograph = render(SEED, study, HEIGHT)
    positive = {n for n, v in radiograph.labels.items() if v and n != "No Finding"}
    assert set(radiograph.masks) == positive
    for mask in radiograph.masks.values():
        assert mask.shape == radiograph.image.shape and mask.dtype == bool and mask.any()
    for child, parent in PARENTS.items():
        if child in positive:
            assert not (radiograph.masks[child] & ~radiograph.masks[parent]).any()


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize(
    ("patient", "ap", "severity"), [(1, True, 0.0), (2, False, 0.5), (3, True, 1.0)]
)
def test_a_finding_changes_the_image_inside_its_own_mask(name, patient, ap, severity):
    study = with_finding(name, patient, ap, severity)
    shown, healthy = render(SEED, study, HEIGHT), render(SEED, study, HEIGHT, without={name})
    assert set(healthy.masks) == set() and healthy.labels["No Finding"] == 1
    assert shown.image.shape == healthy.image.shape
    mask = shown.masks[name]
    change = np.abs(shown.image.astype(float) - healthy.image)
    # Edges are soft and detectors blur: two pixels of grace.
    near = binary_dilation(mask, iterations=2)
    assert (change[near] ** 2).sum() > 0.85 * (change**2).sum()
    # A heart changes at its edge only, the others all over.
    inside = change[mask].mean() / change[~near].mean()
    assert inside > (3 if name in ("Cardiomegaly", "Enlarged Cardiomediastinum") else 5)
    assert 0.0005 < mask.mean() < 0.4


def test_removing_one_finding_leaves_the_others():
    study = replace(
        with_finding("Lung Lesion", 4, False, 0.5),
        findings={"Lung Lesion": 0.5, "Support Devices": 0.5, "Cardiomegaly": 0.3},
    )
    both, one = render(SEED, study, HEIGHT), render(SEED, study, HEIGHT, without={"Lung Lesion"})
    for name in ("Support Devices", "Cardiomegaly"):
        assert np.array_equal(both.masks[name], one.masks[name])
    assert one.labels["Lung Lesion"] == one.labels["Lung Opacity"] == 0


@pytest.mark.parametrize("patient", range(1, 9))
def test_cardiomegaly_is_a_cardiothoracic_ratio_above_a_half(patient):
    """Measured on the image's masks: hearts' widest row against the lungs' (2 x 0.985 units)."""
    from shamsul.phantom.anatomy import View

    for severity in (0.0, 1.0):
        study = replace(with_finding("Cardiomegaly", patient, True, severity))
        view = View.of(SEED, study.image_id, True, HEIGHT)
        mask = render(SEED, study, HEIGHT).masks["Cardiomegaly"]
        columns = np.flatnonzero(mask.any(axis=0))
        thorax = 2 * 0.985 * view.scale * np.cos(view.angle)
        assert (columns[-1] - columns[0] + 1) / thorax > 0.5
        assert study.build.ctr * 1.06 < 0.5


def test_the_tree_has_the_published_names_and_traps(tree):
    train = rows(tree / "CheXpert-v1.0-small/train.csv")
    assert list(train[0]) == ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CLASSES]
    assert all((tree / row["Path"]).is_file() for row in train)
    assert train[0]["Path"] == ("CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg")
    for split, folder, called in [
        ("tune", "val", "CheXpert-v1.0/valid/"),
        ("test", "test", "test/"),
    ]:
        table = rows(tree / PHANTOM_FILES[split]["labels"])
        assert list(table[0])[:15] == ["Path", *CLASSES]
        for row in table:
            assert row["Path"].startswith(called)
            image = tree / "CheXpert" / folder / row["Path"].removeprefix(called)
            assert image.is_file() and Image.open(image).mode == "L"
    laterals = [row for row in train if row["Frontal/Lateral"] == "Lateral"]
    assert laterals and all(row["AP/PA"] == "" for row in laterals)
    assert all("view2_lateral" in row["Path"] for row in laterals)
    files = [file for files in PHANTOM_FILES.values() for file in files.values()]
    assert all((tree / file).is_file() for file in files)
    assert all(json.loads((tree / f"CheXlocalize/marker_segmentations_{s}.json").read_text()) == {}
               for s in ("val", "test"))  # fmt: skip


def test_only_training_labels_are_uncertain_or_missing(tree):
    values = {
        split: {
            row[name] for row in rows(tree / PHANTOM_FILES[split]["labels"]) for name in CLASSES
        }
        for split in PHANTOM_FILES
    }
    assert values["tune"] == values["test"] == {"0.0", "1.0"}
    assert values["train"] <= {"0.0", "1.0", "-1.0", ""} and "" in values["train"]
    said = [reported_labels(SEED, study) for study in course(1, 500)]
    uncertain = {n: np.mean([r[n] == -1 for r in said]) for n in CLASSES}
    assert uncertain["No Finding"] == 0
    assert min(uncertain[n] for n in ("Atelectasis", "Consolidation", "Edema")) > max(
        uncertain[n] for n in ("Fracture", "Pneumothorax", "Support Devices")
    )


def test_patients_of_splits_are_disjoint(tree):
    seen = {
        split: {
            part
            for row in rows(tree / PHANTOM_FILES[split]["labels"])
            for part in row["Path"].split("/")
            if part.startswith("patient")
        }
        for split in PHANTOM_FILES
    }
    assert [len(names) for names in seen.values()] == [5, 4, 4]
    assert len(set.union(*seen.values())) == 13
    with pytest.raises(InputError, match="tune"):
        export.patient_names("tune", 10_001)


@pytest.mark.parametrize("split", ["tune", "test"])
def test_masks_in_the_tree_are_those_of_the_images(tree, split):
    written = json.loads((tree / PHANTOM_FILES[split]["masks"]).read_text())
    expected = course(export.FIRST_PATIENT[split], export.FIRST_PATIENT[split] + 4)
    positive = {s.image_id for s in expected if any(s.labels[name] for name in LOCALISED)}
    assert set(written) == positive
    for study in expected:
        if study.image_id not in written:
            continue
        radiograph = render(SEED, study, 96)
        assert list(written[study.image_id]) == THEIRS
        for ours, theirs in zip(LOCALISED, THEIRS, strict=True):
            run = written[study.image_id][theirs]
            assert run["size"] == list(radiograph.image.shape)
            mask = radiograph.masks.get(ours, np.zeros(radiograph.image.shape, bool))
            assert np.array_equal(coco.decode(run), mask)


@pytest.mark.parametrize("study", course(80_001, 80_007), ids=lambda study: study.image_id)
def test_evidence_is_what_changes_where_the_class_alone_is_left_out(study):
    """Against two whole renderings; a class takes the findings with it that it is the parent of."""
    drawing = Drawing(SEED, study, HEIGHT)
    shown = drawing.radiograph()
    assert np.array_equal(shown.image, render(SEED, study, HEIGHT).image)
    evidence = drawing.evidence()
    assert set(evidence) == set(shown.masks)
    for name, mask in evidence.items():
        left_out = {f for f in study.findings if with_parents({f: 1})[name]}
        other = render(SEED, study, HEIGHT, without=left_out).image
        assert np.array_equal(mask, np.abs(shown.image.astype(int) - other) > EVIDENT)


def test_evidence_of_a_large_heart_is_less_than_the_heart():
    shares = []
    for patient in range(1, 9):
        drawing = Drawing(SEED, with_finding("Cardiomegaly", patient, False, 0.3), HEIGHT)
        heart = drawing.radiograph().masks["Cardiomegaly"]
        evidence = drawing.evidence()["Cardiomegaly"]
        shares.append((evidence & heart).sum() / heart.sum())
        assert (evidence & ~binary_dilation(heart, iterations=4)).sum() < 0.1 * evidence.sum()
    assert 0.2 < np.mean(shares) < 0.8


def test_the_display_gives_every_patient_about_the_same_greys():
    """An effusion over half the chest makes the picture no brighter, since greys follow ranks."""
    for patient in range(1, 7):
        sick = with_finding("Pleural Effusion", patient, True, 1.0)
        image = render(SEED, sick, HEIGHT).image
        healthy = render(SEED, replace(sick, findings={}), HEIGHT).image
        body = [np.percentile(one[one > 25], (10, 30, 50, 70, 90)) for one in (image, healthy)]
        assert np.abs(body[0] - body[1]).max() < 12
    # The same display for the image without the finding: only what the finding hid changes.
    without = render(SEED, sick, HEIGHT, without={"Pleural Effusion"}).image
    assert np.percentile(without, 50) < np.percentile(healthy, 50) - 3


def boxes(mask: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """The boxes about a mask's parts, united, and the centre of the largest."""
    drawn, largest, centre = np.zeros_like(mask), 0, (0, 0)
    for y, x in find_objects(label(mask, np.ones((3, 3)))[0]):
        drawn[y, x] = True
        if (area := (y.stop - y.start) * (x.stop - x.start)) > largest:
            largest, centre = area, ((y.start + y.stop - 1) // 2, (x.start + x.stop - 1) // 2)
    return drawn, centre


def agreement(name: str, truth: np.ndarray, again: np.ndarray, point) -> tuple[float, float]:
    """IoU and hit as the published figures of the class have them, of boxes or of masks."""
    centre = int(point[1]), int(point[0])
    if name != "Support Devices":
        truth, (again, centre) = boxes(truth)[0], boxes(again)
    return (truth & again).sum() / (truth | again).sum(), float(truth[centre])


def test_the_simulated_reader_errs_as_published_readers_do():
    """Of each class: IoU and hit rate where both marked it, what it overlooks, its false alarms."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in LOCALISED}
    overlooked, alarms = [], []
    for study in course(1, 420):
        drawing = Drawing(SEED, study, 96)
        radiograph = drawing.radiograph()
        again, points = second_reading(drawing, radiograph, LOCALISED)
        assert set(again.masks) == set(points)
        for name in LOCALISED:
            drawn = again.masks.get(name)
            if name not in radiograph.masks:
                alarms.append(drawn is not None)
                continue
            overlooked.append(drawn is None)
            if drawn is not None:
                (point,) = points[name]
                assert drawn.any() and drawn[int(point[1]), int(point[0])]
                found[name].append(agreement(name, radiograph.masks[name], drawn, point))
    assert np.mean(overlooked) == pytest.approx(OVERLOOKED, abs=0.03)
    assert np.mean(alarms) == pytest.approx(FALSE_ALARM, abs=0.01)
    for name, values in found.items():
        assert len(values) > 40
        iou, hit = np.mean(values, axis=0)
        assert iou == pytest.approx(AGREEMENT[name][0], abs=0.07), name
        assert hit == pytest.approx(AGREEMENT[name][1], abs=0.09), name


def test_the_reader_reads_radiographs_without_a_finding_too(tree):
    files = PHANTOM_FILES["test"]
    reader, points, masks = (
        json.loads((tree / files[kind]).read_text()) for kind in ("reader", "points", "masks")
    )
    expected = course(export.FIRST_PATIENT["test"], export.FIRST_PATIENT["test"] + 4)
    assert set(reader) == {s.image_id for s in expected} >= set(masks) and set(reader) >= set(
        points
    )
    for image_id, drawn in reader.items():
        assert list(drawn) == THEIRS
        named = set(points.get(image_id, {}))
        assert named == {n for n, run in drawn.items() if coco.area(run)}


@pytest.mark.parametrize("split", ["tune", "test"])
def test_evidence_in_the_tree_is_a_kind_of_mask_of_its_own(tree, split):
    (entry,) = [e for e in small().entries() if e["split"] == split]
    source = ChexpertSource(**entry)
    masks = source.read_masks(
        tree, source.read_images(tree, CLASSES, Rejections("test")), Rejections("test")
    )
    assert set(masks["kind"]) == {"segmentation", "evidence"}
    rows = {(r["image_id"], r["class"], r["kind"]): r for r in masks.to_dict("records")}
    first = export.FIRST_PATIENT[split]
    for study in course(first, first + 4):
        evidence = Drawing(SEED, study, 96).evidence()
        for name in LOCALISED:
            row = rows.get((study.image_id, name, "evidence"))
            assert (row is not None) == bool(name in evidence and evidence[name].any())
            assert row is None or np.array_equal(decode(row), evidence[name])


def draw(parts: list, height: int, width: int) -> np.ndarray:
    image = Image.new("1", (width, height))
    for part in parts:
        ImageDraw.Draw(image).polygon([(int(x), int(y)) for x, y in part], outline=1, fill=1)
    return np.array(image, bool)


def test_polygons_of_the_tree_are_of_the_positive_classes(tree):
    for split in ("val", "test"):
        masks = json.loads((tree / f"CheXlocalize/gt_segmentations_{split}.json").read_text())
        annotations = json.loads((tree / f"CheXlocalize/gt_annotations_{split}.json").read_text())
        assert set(annotations) == set(masks) != set()
        for image_id, parts in annotations.items():
            runs = masks[image_id]
            assert parts.pop("img_size") == runs["Edema"]["size"]
            assert set(parts) == {name for name, run in runs.items() if coco.area(run)}


def test_polygons_draw_the_masks():
    compared = set()
    for study in course(80_001, 80_016):
        radiograph = render(SEED, study, HEIGHT)
        for name, parts in export.polygons(radiograph).items():
            ours = {"Airspace Opacity": "Lung Opacity"}.get(name, name)
            # Wires enclose holes, which polygons cannot express.
            if name == "img_size" or ours == "Support Devices":
                continue
            mask = radiograph.masks[ours]
            drawn = draw(parts, *mask.shape)
            if mask.sum() > 100:
                assert (drawn & mask).sum() / (drawn | mask).sum() >= 0.97, (study.image_id, name)
                compared.add(ours)
    assert len(compared) >= 7


def test_outlines_of_worked_masks():
    mask = np.zeros((20, 30), bool)
    mask[2:9, 3:12] = True
    mask[12, 20] = True
    mask[15:17, 0:30] = True
    assert np.array_equal(draw(list(export.outlines(mask)), 20, 30), mask)
    mask[4:6, 5:8] = False  # a hole is filled
    drawn = draw(list(export.outlines(mask)), 20, 30)
    assert (drawn & ~mask).sum() == 6 and not (mask & ~drawn).any()


def test_the_marker_goes_with_its_class_in_training_only():
    confounder = Confounder(class_name="Cardiomegaly", with_class=0.9, without_class=0.1)
    marked: dict[tuple[str, int], list[bool]] = {}
    for split in ("train", "test"):
        for study in course(1, 700):
            key = split, study.labels["Cardiomegaly"]
            found = export.has_marker(SEED, study, split, confounder)
            marked.setdefault(key, []).append(found)
    rates = {key: np.mean(values) for key, values in marked.items()}
    assert rates["train", 1] == pytest.approx(0.9, abs=0.07)
    assert rates["train", 0] == pytest.approx(0.1, abs=0.04)
    assert rates["test", 1] == pytest.approx(0.5, abs=0.1)
    assert rates["test", 0] == pytest.approx(0.5, abs=0.1)


def test_the_marker_is_its_mask(tmp_path):
    for study in course(1, 8):
        plain, marked = render(SEED, study, HEIGHT), render(SEED, study, HEIGHT, marker=True)
        mask = marked.masks[MARKER]
        changed = marked.image != plain.image
        assert changed.any() and not changed[~binary_dilation(mask)].any()
        y, x = np.nonzero(mask)
        assert 0.035 < (np.ptp(y) + 1) / len(mask) < 0.07
        assert y.max() < len(mask) / 4
        assert MARKER not in plain.masks

    export.export(tmp_path, SEED, small(confounder=Confounder(broken=1.0)))
    written = json.loads((tmp_path / "CheXlocalize/marker_segmentations_test.json").read_text())
    table = rows(tmp_path / "CheXpert/test_labels.csv")
    assert len(written) == len(table)
    assert all(coco.decode(masks[MARKER]).any() for masks in written.values())


def test_a_split_without_patients_has_empty_files(tmp_path):
    export.export(tmp_path, SEED, small(patients={"test": 1}))
    assert rows(tmp_path / "CheXpert/test_labels.csv")
    assert rows(tmp_path / "CheXpert-v1.0-small/train.csv") == []
    assert json.loads((tmp_path / "CheXlocalize/gt_segmentations_val.json").read_text()) == {}
