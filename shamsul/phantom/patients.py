"""The phantom's patients: their studies, findings, and labels as mined from a report.

Everything about a patient follows from (seed, patient_id). Findings come in syndromes, so that they
occur together as they do in a clinic; they persist, grow and shrink from one study to the next.
Rates are far higher than a clinic's for what is rare there: a phantom of a few hundred patients
must still show every finding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shamsul.labels import CLASSES, NOT_PATHOLOGIES, PARENTS
from shamsul.phantom.anatomy import Build, stream

PATHOLOGIES = tuple(name for name in CLASSES if name not in NOT_PATHOLOGIES)

HEALTHY = 0.30
"""Share of patients whose first study shows no pathology."""

SYNDROMES: tuple[tuple[float, dict[str, float]], ...] = (
    # heart failure
    (0.23, {"Cardiomegaly": 0.75, "Edema": 0.9, "Pleural Effusion": 0.4, "Atelectasis": 0.1}),
    # infection
    (0.20, {"Pneumonia": 1.0, "Pleural Effusion": 0.2, "Atelectasis": 0.1}),
    (0.12, {"Consolidation": 1.0, "Pleural Effusion": 0.25, "Atelectasis": 0.1}),
    # fluid, and the lung collapsed beside it
    (0.12, {"Pleural Effusion": 0.9, "Atelectasis": 0.6, "Lung Opacity": 0.1}),
    (0.10, {"Atelectasis": 1.0, "Pleural Effusion": 0.1}),
    # tumour
    (0.20, {"Lung Lesion": 1.0, "Enlarged Cardiomediastinum": 0.3, "Pleural Effusion": 0.15}),
    # injury
    (0.22, {"Fracture": 0.85, "Pneumothorax": 0.35, "Lung Opacity": 0.15}),
    (0.14, {"Pneumothorax": 1.0, "Fracture": 0.1}),
    # old pleural disease
    (0.20, {"Pleural Other": 1.0, "Fracture": 0.1, "Lung Opacity": 0.1}),
    # heart and great vessels without failure
    (0.08, {"Cardiomegaly": 1.0}),
    (0.10, {"Enlarged Cardiomediastinum": 1.0}),
    # a shadow that nobody can name
    (0.08, {"Lung Opacity": 1.0}),
)
"""Relative frequency of a syndrome, and the probability of each finding in it."""

UNCERTAIN = {
    # positives that the report hedges, negatives that it does not exclude
    "Enlarged Cardiomediastinum": (0.12, 0.03),
    "Cardiomegaly": (0.08, 0.02),
    "Lung Opacity": (0.03, 0.01),
    "Lung Lesion": (0.05, 0.01),
    "Edema": (0.15, 0.05),
    "Consolidation": (0.16, 0.08),
    "Pneumonia": (0.15, 0.06),
    "Atelectasis": (0.20, 0.08),
    "Pneumothorax": (0.05, 0.01),
    "Pleural Effusion": (0.07, 0.03),
    "Pleural Other": (0.10, 0.01),
    "Fracture": (0.04, 0.01),
    "Support Devices": (0.01, 0.0),
}
MISSING = 0.02, 0.75
"""Probability that a positive and that a negative finding goes unmentioned."""


@dataclass(frozen=True)
class Study:
    """One visit of a patient.

    Attributes
    ----------
    findings : severity 0-1 of each finding that is drawn. A pneumonia is a consolidation by its
        label only: it is drawn as itself.
    """

    patient_id: str
    number: int
    ap: bool
    build: Build
    age: int
    findings: dict[str, float]

    @property
    def image_id(self) -> str:
        """Name of the study's frontal radiograph."""
        return f"{self.patient_id}_study{self.number}_view1_frontal"

    @property
    def labels(self) -> dict[str, int]:
        """Labels of the 14 classes, 1 or 0, hierarchy included."""
        return with_parents(self.findings)


def lineage(name: str) -> list[str]:
    """Return a class and those that it implies, the nearest first."""
    line = [name]
    while line[-1] in PARENTS:
        line.append(PARENTS[line[-1]])
    return line


def with_parents(findings: dict[str, float]) -> dict[str, int]:
    """Return the complete labels of a set of findings: their parents, and No Finding."""
    positive = {name for finding in findings for name in lineage(finding)}
    if not positive & set(PATHOLOGIES):
        positive.add("No Finding")
    return {name: int(name in positive) for name in CLASSES}


def studies(seed: int, patient_id: str) -> list[Study]:
    """Return all studies of a patient, first to last."""
    rng = stream(seed, patient_id, "course")
    build = Build.of(seed, patient_id)
    count = int(rng.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))
    findings = _sickness(rng) if rng.random() > HEALTHY else {}
    age, course = build.age, []
    for number in range(1, count + 1):
        if number > 1:
            findings = _follow_up(rng, findings)
            age = min(age + int(rng.integers(0, 2)), 90)
        sick = len(findings) - ("Support Devices" in findings)
        ap = bool(rng.random() < (0.65 if sick else 0.3))
        devices = rng.random() < 0.22 + 0.1 * ap + 0.03 * min(sick, 2)
        findings = {k: v for k, v in findings.items() if k != "Support Devices"}
        if devices:
            findings["Support Devices"] = rng.uniform()
        course.append(Study(patient_id, number, ap, build, age, findings))
    return course


def _sickness(rng: np.random.Generator) -> dict[str, float]:
    weights = np.array([weight for weight, _ in SYNDROMES])
    chosen = rng.choice(len(SYNDROMES), 1 + (rng.random() < 0.35), False, weights / weights.sum())
    findings: dict[str, float] = {}
    while not findings:
        for index in chosen:
            for name, probability in SYNDROMES[index][1].items():
                if rng.random() < probability:
                    findings[name] = rng.uniform()
    return findings


def _follow_up(rng: np.random.Generator, findings: dict[str, float]) -> dict[str, float]:
    """Return the findings that are left, better or worse, and perhaps a new one."""
    lasting = {"Fracture", "Pleural Other", "Cardiomegaly", "Lung Lesion"}
    after = {
        name: float(np.clip(severity + rng.normal(0, 0.25), 0, 1))
        for name, severity in findings.items()
        if rng.random() < (0.97 if name in lasting else 0.75)
    }
    if rng.random() < 0.2:
        after = {**_sickness(rng), **after}
    return after


def reported_labels(seed: int, study: Study) -> dict[str, float | None]:
    """Return the labels as mined from a report: 1, 0, -1 uncertain, None not mentioned.

    As in CheXpert's training file, No Finding is 1 or not mentioned, a positive finding's parents
    are positive, and where there is no finding nothing is uncertain.
    """
    rng = stream(seed, study.image_id, "report")
    truth = study.labels
    said: dict[str, float | None] = {}
    for name in CLASSES:
        hedge, silence = rng.random(2)
        positive = truth[name]
        if name == "No Finding":
            said[name] = 1.0 if positive else None
        elif silence < MISSING[1 - positive]:
            said[name] = None
        elif hedge < UNCERTAIN[name][1 - positive] and not truth["No Finding"]:
            said[name] = -1.0
        else:
            said[name] = float(positive)
    sure = {name: 1.0 for name, value in said.items() if value == 1 and name != "No Finding"}
    for name, value in with_parents(sure).items():
        if value and name != "No Finding":
            said[name] = 1.0
    return said
