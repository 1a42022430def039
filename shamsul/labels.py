"""The names of the findings, and how they imply one another.

CheXpert (Irvin et al., AAAI 2019) labels 14 observations; CheXlocalize (Saporta et al., Nature
Machine Intelligence 2022) segments ten of them and calls one of these differently.
"""

CLASSES: tuple[str, ...] = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
"""The 14 CheXpert observations, in the order of the published CSV files."""

LOCALISED: tuple[str, ...] = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Lesion",
    "Lung Opacity",
    "Edema",
    "Consolidation",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Support Devices",
)
"""The ten observations that CheXlocalize segments, in the order of its files."""

CHEXLOCALIZE_NAMES = {"Airspace Opacity": "Lung Opacity"}
"""CheXpert's names, by CheXlocalize's where they differ."""

PARENTS = {
    "Cardiomegaly": "Enlarged Cardiomediastinum",
    "Lung Lesion": "Lung Opacity",
    "Edema": "Lung Opacity",
    "Consolidation": "Lung Opacity",
    "Pneumonia": "Consolidation",
    "Atelectasis": "Lung Opacity",
}
"""CheXpert's hierarchy: a positive child makes its parent positive (Irvin et al., Figure 1)."""

NOT_PATHOLOGIES = ("No Finding", "Support Devices")
"""Observations that are not counted when an image is called single-label or multi-label."""

MARKER = "Marker"
"""The name under which a burnt-in confounding marker's mask is kept; not a class."""
