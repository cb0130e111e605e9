"""Train the segmentation networks.

``python -m napari_aml.cells.training.fit --data DATA --out DIR`` runs the whole recipe: a first network from the
hand-made BCCD masks, masks for the other sources with its help (`pseudo`), then the final network from all of them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from napari_aml.cells.training.model import Both, fold
from napari_aml.cells.training.scenes import Scenes, Source

#: How often each source is drawn.
WEIGHTS = {"bccd": 0.35, "chula": 0.15, "lmu": 0.2, "pbc": 0.3}


class _Stream(torch.utils.data.IterableDataset):
    def __init__(self, scenes: Scenes, seed: int) -> None:
        self.scenes, self.seed = scenes, seed

    def __iter__(self):
        rng = np.random.default_rng(self.seed)
        while True:
            rgb, cell, nucleus, distance, ignore = self.scenes.draw(rng)
            yield rgb.transpose(2, 0, 1), cell.astype(np.float32), nucleus.astype(np.float32), distance, ~ignore


def loss(fine: torch.Tensor, coarse: torch.Tensor, cell, nucleus, distance, known) -> torch.Tensor:
    """Cross-entropy and soft Dice (cell, nucleus), absolute error (distance), cross-entropy (coarse map)."""
    w = known.float()

    def both(logit: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        entropy = (F.binary_cross_entropy_with_logits(logit, truth, reduction="none") * w).sum() / w.sum()
        p = torch.sigmoid(logit) * w
        return entropy + 0.5 * (1 - (2 * (p * truth).sum() + 1) / (p.sum() + (truth * w).sum() + 1))

    off = ((torch.sigmoid(fine[:, 2]) - distance).abs() * w * (1 + 3 * cell)).mean()
    holds, sure = F.max_pool2d(nucleus[:, None] * w[:, None], 4), F.avg_pool2d(w[:, None], 4)
    far = F.binary_cross_entropy_with_logits(coarse, holds, reduction="none", pos_weight=torch.tensor(3.0))
    return both(fine[:, 0], cell) + both(fine[:, 1], nucleus) + 2 * off + (far * sure).mean()


def train(
    sources: dict[str, Source], steps: int, out: Path, start: Path | None = None, rate: float = 3e-3,
    batch: int = 16, seed: int = 0,
) -> Both:
    """Train on some sources and return the averaged network.

    The same seed gives the same weights on the same kind of machine.

    Parameters
    ----------
    sources
        Labelled pictures by name.
    steps
        The learning rate falls to nothing over them.
    out
        Where the state is written (``.pt``).
    start
        A state to begin with.
    rate, batch, seed
        Peak learning rate, pictures a step, seed.
    """
    torch.manual_seed(seed)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    model, mean = Both(), Both()
    if start is not None:
        model.load_state_dict(torch.load(start, weights_only=True))
    mean.load_state_dict(model.state_dict())
    model = model.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-3)
    stream = iter(torch.utils.data.DataLoader(_Stream(Scenes(sources, WEIGHTS), seed), batch_size=batch))
    shown = 0.0
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 80) * (0.5 * (1 + np.cos(np.pi * step / steps)) + 0.002)
        rgb, *truth = next(stream)
        with torch.autocast("cpu", torch.bfloat16):
            fine, coarse = model(rgb.contiguous(memory_format=torch.channels_last))
        value = loss(fine.float(), coarse.float(), *truth)
        optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimiser.step()
        _average(mean, model, min(0.99, (1 + step) / (10 + step)))
        shown = 0.97 * shown + 0.03 * value.item() if step else value.item()
        if step % 50 == 49:
            print(f"step {step + 1} of {steps}  loss {shown:.4f}", flush=True)
        if step % 200 == 199:
            torch.save(mean.state_dict(), out)
    torch.save(mean.state_dict(), out)
    return mean.eval()


def _average(mean: Both, model: Both, keep: float) -> None:
    with torch.no_grad():
        for a, b in zip(mean.state_dict().values(), model.state_dict().values(), strict=True):
            if a.dtype.is_floating_point:
                a.mul_(keep).add_(b, alpha=1 - keep)
            else:
                a.copy_(b)


def between(before: Both, after: Both, share: float) -> Both:
    """Return the network whose weights lie between those of one and of what further training made of it.

    On pictures of other kinds than those of the training it does better than either (Wortsman et al. 2022, Robust
    fine-tuning of zero-shot models, CVPR).

    Parameters
    ----------
    share
        Of `after`, 0 to 1.
    """
    made, late = Both(), after.state_dict()
    early = before.state_dict().items()
    made.load_state_dict({k: torch.lerp(v, late[k], share) if v.dtype.is_floating_point else late[k] for k, v in early})
    return made.eval()


def export(model: Both, folder: Path, card: dict[str, object]) -> None:
    """Write ``segmenter.safetensors`` (folded, float16) and ``segmenter.json``."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(fold(model.eval()), folder / "segmenter.safetensors")
    (folder / "segmenter.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")


def main() -> None:
    """Run the recipe."""
    from napari_aml.cells.training import sources as src

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with smears_bccd, cells_pbc …")
    parser.add_argument("--out", type=Path, required=True, help="where the weights and the card go")
    parser.add_argument("--without", default="", help="sources left out, comma-separated (leave-one-source-out)")
    parser.add_argument("--first", type=Path, help="first.pt of an earlier run; else it is trained on BCCD")
    parser.add_argument("--go-on", type=Path, help="final.pt of an earlier run: train it further")
    parser.add_argument("--share", type=float, default=1.0, help="with --go-on: how far from there to the new weights")
    parser.add_argument("--first-steps", type=int, default=900)
    parser.add_argument("--steps", type=int, default=3000)
    args = parser.parse_args()
    left_out = set(filter(None, args.without.split(",")))
    if unknown := left_out - set(WEIGHTS):
        parser.error(f"unknown source(s) {', '.join(sorted(unknown))}; there are {', '.join(WEIGHTS)}")
    if left_out == set(WEIGHTS):
        parser.error("no source is left")
    args.out.mkdir(parents=True, exist_ok=True)
    bccd = src.bccd(args.data)
    if args.first:
        first = Both()
        first.load_state_dict(torch.load(args.first, weights_only=True))
    else:
        first = train({"bccd": bccd}, args.first_steps, args.out / "first.pt")
    sources = {"bccd": bccd, **src.with_help(args.data, first, [n for n in WEIGHTS if n not in {"bccd", *left_out}])}
    sources = {n: s for n, s in sources.items() if n not in left_out and len(s.rgb)}
    print(", ".join(f"{n}: {len(s.rgb)} pictures" for n, s in sources.items()), flush=True)
    if not sources:
        parser.error("the first network labelled no picture: train it for longer (--first-steps)")
    # a network that began on BCCD would have seen it
    start = args.go_on or (None if "bccd" in left_out else args.first or args.out / "first.pt")
    final = train(sources, args.steps, args.out / "final.pt", start, 2e-3 if start else 3e-3)
    if args.go_on:
        before = Both()
        before.load_state_dict(torch.load(args.go_on, weights_only=True))
        final = between(before, final, args.share)
        torch.save(final.state_dict(), args.out / "final.pt")
    export(final, args.out, src.card(sources))


if __name__ == "__main__":
    main()
