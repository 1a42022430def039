"""Findings of PadChest and PadChest-GR, and the classes that they mean."""

from __future__ import annotations

LUNG = ("Lung Opacity",)
DEVICE = ("Support Devices",)
PADCHEST_FINDINGS: dict[str, tuple[str, ...]] = {
    "normal": ("No Finding",),
    "cardiomegaly": ("Cardiomegaly",),
    **dict.fromkeys(
        ("mediastinal enlargement", "superior mediastinal enlargement"),
        ("Enlarged Cardiomediastinum",),
    ),
    **dict.fromkeys(
        (
            "infiltrates", "alveolar pattern", "interstitial pattern", "ground glass pattern",
            "reticular interstitial pattern", "reticulonodular interstitial pattern",
            "miliary opacities", "increased density",
        ),
        LUNG,
    ),
    **dict.fromkeys(
        ("nodule", "multiple nodules", "mass", "pulmonary mass", "lung metastasis"),
        ("Lung Lesion",),
    ),
    "pulmonary edema": ("Edema",),
    "consolidation": ("Consolidation",),
    **dict.fromkeys(("pneumonia", "atypical pneumonia"), ("Pneumonia",)),
    **dict.fromkeys(
        (
            "atelectasis", "laminar atelectasis", "lobar atelectasis", "segmental atelectasis",
            "atelectasis basal", "total atelectasis", "round atelectasis",
        ),
        ("Atelectasis",),
    ),
    "pneumothorax": ("Pneumothorax",),
    "hydropneumothorax": ("Pneumothorax", "Pleural Effusion"),
    **dict.fromkeys(
        ("pleural effusion", "loculated pleural effusion", "loculated fissural effusion"),
        ("Pleural Effusion",),
    ),
    **dict.fromkeys(
        (
            "pleural thickening", "apical pleural thickening", "calcified pleural thickening",
            "pleural plaques", "calcified pleural plaques", "fissure thickening",
            "minor fissure thickening", "major fissure thickening", "pleural mass",
        ),
        ("Pleural Other",),
    ),
    **dict.fromkeys(
        (
            "fracture", "rib fracture", "callus rib fracture", "clavicle fracture",
            "humeral fracture", "vertebral fracture",
        ),
        ("Fracture",),
    ),
    **dict.fromkeys(
        (
            "NSG tube", "endotracheal tube", "tracheostomy tube", "chest drain tube",
            "gastrostomy tube", "nephrostomy tube", "ventriculoperitoneal drain tube", "catheter",
            "central venous catheter", "central venous catheter via jugular vein",
            "central venous catheter via subclavian vein",
            "central venous catheter via umbilical vein", "reservoir central venous catheter",
            "pacemaker", "dual chamber device", "single chamber device", "dai",
            "electrical device", "artificial heart valve", "artificial mitral heart valve",
            "artificial aortic heart valve",
        ),
        DEVICE,
    ),
    **dict.fromkeys(
        (
            "COPD signs", "Chilaiditi sign", "abnormal foreign body", "abscess", "adenopathy",
            "air bronchogram", "air fluid level", "air trapping", "aortic aneurysm",
            "aortic atheromatosis", "aortic button enlargement", "aortic elongation",
            "aortic endoprosthesis", "asbestosis signs", "ascendent aortic elongation",
            "axial hyperostosis", "azygoesophageal recess shift", "azygos lobe",
            "blastic bone lesion", "bone cement", "bone metastasis", "breast mass",
            "bronchiectasis", "bronchovascular markings", "bullas", "calcified adenopathy",
            "calcified densities", "calcified fibroadenoma", "calcified granuloma",
            "calcified mediastinal adenopathy", "cavitation", "central vascular redistribution",
            "cervical rib", "chronic changes", "costochondral junction hypertrophy",
            "costophrenic angle blunting", "cyst", "descendent aortic elongation", "dextrocardia",
            "diaphragmatic eventration", "double J stent", "emphysema", "empyema", "end on vessel",
            "endoprosthesis", "esophagic dilatation", "external foreign body", "fibrotic band",
            "flattened diaphragm", "goiter", "granuloma", "gynecomastia", "heart insufficiency",
            "heart valve calcified", "hemidiaphragm elevation", "hiatal hernia",
            "hilar congestion", "hilar enlargement", "humeral prosthesis", "hyperinflated lung",
            "hypoexpansion", "hypoexpansion basal", "kerley lines", "kyphosis",
            "lepidic adenocarcinoma", "lipomatosis", "lung vascular paucity",
            "lymphangitis carcinomatosa", "lytic bone lesion", "mammary prosthesis", "mastectomy",
            "mediastinal mass", "mediastinal shift", "mediastinic lipomatosis", "metal",
            "nipple shadow", "non axial articular degenerative changes", "obesity", "osteopenia",
            "osteoporosis", "osteosynthesis material", "pectum carinatum", "pectum excavatum",
            "pericardial effusion", "pneumomediastinum", "pneumoperitoneo",
            "post radiotherapy changes", "prosthesis", "pseudonodule",
            "pulmonary artery enlargement", "pulmonary artery hypertension", "pulmonary fibrosis",
            "pulmonary hypertension", "pulmonary venous hypertension", "respiratory distress",
            "right sided aortic arch", "sclerotic bone lesion", "scoliosis", "soft tissue mass",
            "sternoclavicular junction hypertrophy", "sternotomy", "subacromial space narrowing",
            "subcutaneous emphysema", "supra aortic elongation", "surgery", "surgery breast",
            "surgery heart", "surgery humeral", "surgery lung", "surgery neck", "suture material",
            "thoracic cage deformation", "tracheal shift", "tuberculosis", "tuberculosis sequelae",
            "vascular hilar enlargement", "vascular redistribution",
            "vertebral anterior compression", "vertebral compression",
            "vertebral degenerative changes", "volume loss",
        ),
        (),
    ),
}  # fmt: skip
"""CheXpert's classes by PadChest's findings; the last have no counterpart. `dai` is Spanish for an
implanted defibrillator."""
