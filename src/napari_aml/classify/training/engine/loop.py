"""The training loop: one update after another, checkpoints, the watch on the validation part, and what is kept."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.classify.training.engine.averaging import Averages, refresh_batch_norm
from napari_aml.classify.training.engine.checkpoints import Checkpoints
from napari_aml.classify.training.engine.crops import Crops, batches
from napari_aml.classify.training.engine.depthwise import quicken
from napari_aml.classify.training.engine.distilling import Teacher, hardened, pupil, taught_loss
from napari_aml.classify.training.engine.losses import Loss, epoch_order, mix
from napari_aml.classify.training.engine.processes import Processes
from napari_aml.classify.training.engine.rates import learning_rate, swa_start
from napari_aml.classify.training.engine.records import (
    Epoch,
    Fitted,
    Material,
    TrainingDivergedError,
    figures_of,
    goodness,
    in_words,
)
from napari_aml.classify.training.engine.restaining import Restaining
from napari_aml.classify.training.engine.settings import TrainConfig
from napari_aml.classify.training.engine.varying import varied
from napari_aml.errors import AmlError
from napari_aml.progress import Progress, Steps

if TYPE_CHECKING:
    import torch

    from napari_aml._torch import Device


class Fit:
    """One run; `steps` drives it."""

    def __init__(
        self,
        network: torch.nn.Module,
        material: Material,
        config: TrainConfig,
        device: Device,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        processes: Processes,
        checkpoints: Checkpoints | None,
        teacher: Teacher | None = None,
    ) -> None:
        from napari_aml._torch import torch

        self.config, self.material, self.device = config, material, device
        self.processes, self.checkpoints = processes, checkpoints
        self.where = device.torch_device()
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        self.plain: Any = network.to(self.where).to(memory_format=layout)
        if self.where.type == "cpu":
            quicken(self.plain)
        self.teacher = None if teacher is None else teacher.to(device)
        # With a teacher whose maps are learnt, the network is trained inside a wrapper that is thrown away.
        self.outer = self.plain if teacher is None or not config.hints else self._pupil(teacher)
        self.network = processes.shared(self.outer)
        self.optimiser = _optimiser(self.plain, config)
        if self.outer is not self.plain:
            self.optimiser.add_param_group({"params": list(self.outer.get_submodule("project").parameters())})
        self.scaler = torch.amp.GradScaler(device.type, enabled=device.precision == "float16")
        self.averages = Averages(self.plain, config)
        counts = np.bincount(material.targets, minlength=material.classes)
        self.loss = Loss(counts, config, self.where)
        self.shift = torch.tensor(mean, device=self.where).view(1, 3, 1, 1)
        self.scale = torch.tensor(std, device=self.where).view(1, 3, 1, 1)
        n = len(material.targets)
        # The batch is shared out evenly: every process has as many pictures.
        self.batch = min(config.batch, n) // processes.count * processes.count
        if not self.batch:
            raise AmlError(f"{n} pictures are fewer than the {processes.count} processes.", "Use fewer processes.")
        self.per_epoch = max(1, n // self.batch)
        self.restaining = None
        if config.restain and material.stains is not None:
            self.restaining = Restaining(material.stains, self.where)
        self.held = _on_device(material.train, self.where)
        self.epoch = self.update = 0
        self.summed: Any = 0.0  # a number on the CPU, else a tensor on the device
        self.best: dict[str, Any] = {"value": -math.inf, "epoch": 0, "state": None}
        self.waited = 0
        self.history: list[Epoch] = []
        self.notes: list[str] = []

    # ---- the run ---------------------------------------------------------------------------------------------------

    def steps(self) -> Steps[Fitted]:
        """Train to the end, or to an early stop, going on from a checkpoint of this very run."""
        self._take_up()
        total = self.config.epochs * self.per_epoch
        said = kept = time.monotonic()
        while self.epoch < self.config.epochs and not self._enough():
            began, spent = time.monotonic(), 0.0
            order = epoch_order(self.material.targets, self.config, self.epoch, self.material.chance)
            while self.update < (self.epoch + 1) * self.per_epoch:
                at = self.update - self.epoch * self.per_epoch
                self._one_update(order[at * self.batch : (at + 1) * self.batch])
                now = time.monotonic()
                if now - said > 0.2:
                    said = now
                    yield Progress(self.update, total, f"Epoch {self.epoch + 1} of {self.config.epochs}")
                if now - kept > self.config.checkpoint_minutes * 60 > 0:
                    kept = now
                    self._check_finite()
                    self._keep()
            spent = time.monotonic() - began
            done = yield from self._close_epoch(spent, total)
            kept = said = time.monotonic()
            yield Progress(self.update, total, in_words(done, self.config.epochs), done)
        return (yield from self._finish())

    def _one_update(self, rows: np.ndarray) -> None:
        from napari_aml._torch import torch

        config, rank = self.config, self.processes.rank
        rate = learning_rate(self.update, self.per_epoch, config)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        # Dropout and drop path draw from torch's own generator: seeding each update makes a resumed run the same run.
        torch.manual_seed(_mixed(config.seed, 5, self.update, rank))
        self.outer.train()
        mine = self.processes.part(rows)
        parts = np.array_split(mine, min(config.accumulate, len(mine)))
        total = torch.zeros((), device=self.where)
        for position, part in enumerate(parts):
            last = position == len(parts) - 1
            with self._quiet(last):
                loss = self._loss(part, position) * (len(part) / len(mine))
                self.scaler.scale(loss).backward()
            total += loss.detach()
        self.scaler.unscale_(self.optimiser)
        trained = [p for p in self.outer.parameters() if p.requires_grad]
        norm = torch.nn.utils.clip_grad_norm_(trained, config.clip or math.inf)
        # Half precision overflows now and then, which the scaler answers by skipping the update.
        sound = torch.isfinite(total) if self.scaler.is_enabled() else torch.isfinite(total) & torch.isfinite(norm)
        # Asking a GPU for a number makes it wait: it is asked now and then, and before anything is kept.
        if (self.device.type == "cpu" or self.update % 16 == 0) and not bool(sound):
            self._diverged()
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        self.averages.after_update(self.plain)
        self.summed = self.summed + (float(total) if self.device.type == "cpu" else total)
        self.update += 1

    def _quiet(self, last: bool) -> Any:
        return contextlib.nullcontext() if last else self.processes.alone(self.network)

    def _loss(self, part: np.ndarray, position: int) -> torch.Tensor:
        from napari_aml._torch import torch

        config = self.config
        seed = _mixed(config.seed, 7, self.update, self.processes.rank, position)
        generator = torch.Generator(self.where).manual_seed(seed)
        x = varied(self._pixels(part), config.px, config.variation, generator)
        targets = torch.from_numpy(self.material.targets[part]).to(self.where)
        soft = self.loss.soft(targets)
        if self.teacher is None:
            x = self._restained(x, part, generator)
        x, soft = mix(x, soft, config.mixup, np.random.default_rng((config.seed, 9, self.update, position)))
        if self.teacher is None:
            with self.device.autocast():
                logits = self.network(self._normalised(x))
            return self.loss(logits, soft)
        said = self.teacher.answer(x, maps=self.outer is not self.plain)
        x = self._restained(hardened(x, config.harder, generator), part, generator)
        with self.device.autocast():
            found = self.network(self._normalised(x))
        logits, maps = found if isinstance(found, tuple) else (found, [])
        return taught_loss(self.loss(logits, soft), logits, maps, said, config)

    def _restained(self, x: torch.Tensor, part: np.ndarray, generator: torch.Generator) -> torch.Tensor:
        from napari_aml._torch import torch

        if self.restaining is None or self.material.stains is None:
            return x
        source = torch.from_numpy(self.material.stains.of_row[part]).to(self.where)
        return self.restaining(x, source, self.config.restain, generator)

    def _pupil(self, teacher: Teacher) -> torch.nn.Module:
        """Wrap the network; made on the CPU, with a seed of its own, so that it is the same everywhere."""
        from napari_aml._torch import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_mixed(self.config.seed, 13))
            teacher.network.cpu()
            outer = pupil(self.plain.cpu(), teacher, self.config.px)
        teacher.to(self.device)
        return outer.to(self.where)

    def _pixels(self, part: np.ndarray) -> torch.Tensor:
        from napari_aml._torch import torch

        if self.held is not None:
            return self.held[torch.from_numpy(part).to(self.held.device)]
        pixels = torch.from_numpy(self.material.train.pixels[part])
        if self.device.type == "cuda":
            return pixels.pin_memory().to(self.where, non_blocking=True)
        return pixels.to(self.where)

    def _normalised(self, x: torch.Tensor) -> torch.Tensor:
        from napari_aml._torch import torch

        x = (x - self.shift) / self.scale
        return x.contiguous(memory_format=torch.channels_last) if self.config.channels_last else x.contiguous()

    # ---- ends of epochs ---------------------------------------------------------------------------------------------

    def _close_epoch(self, seconds: float, total: int) -> Steps[Epoch]:
        self._check_finite()
        averaging = self.epoch >= swa_start(self.config)
        if averaging:
            self.averages.after_epoch(self.plain)
        watched = self.plain if self.averages.ema is None else self.averages.ema.module
        figures: dict[str, float] = {}
        if len(self.material.validation):
            logits = yield from self.logits_steps(watched, self.material.validation, "Looking at the validation part")
            figures = figures_of(logits, self.material.validation_targets, self.material.classes)
            value = goodness(figures, self.config.monitor)
            self.waited += 1
            if value > self.best["value"]:
                self.best = {"value": value, "epoch": self.epoch + 1, "state": _on_cpu(watched.state_dict())}
                self.waited = 0
        rate = learning_rate(self.update - 1, self.per_epoch, self.config)
        loss = self.processes.mean(float(self.summed) / self.per_epoch)
        done = Epoch(self.epoch + 1, loss, figures, rate, seconds)
        self.history.append(done)
        self.epoch, self.summed = self.epoch + 1, 0.0
        self._keep()
        if self.checkpoints is not None and self.checkpoints.trouble:
            note = f"A checkpoint could not be written: {self.checkpoints.trouble}"
            yield Progress(self.update, total, note)
        return done

    def _enough(self) -> bool:
        return 0 < self.config.patience <= self.waited

    def _check_finite(self) -> None:
        from napari_aml._torch import torch

        if not math.isfinite(float(self.summed)) or not all(
            bool(torch.isfinite(p).all()) for p in self.plain.parameters()
        ):
            self._diverged()

    def _diverged(self) -> None:
        good = f"the state of epoch {self.epoch} is kept" if self.epoch else "no epoch was finished"
        raise TrainingDivergedError(
            f"The loss stopped being a number in epoch {self.epoch + 1} (update {self.update + 1}, learning rate "
            f"{learning_rate(self.update, self.per_epoch, self.config):.3g}); {good}.",
            "Lower the learning rate, lengthen the warm-up or use precision float32.",
        )

    def _finish(self) -> Steps[Fitted]:
        """Choose the weights to keep: the averaged ones, unless an epoch did better on the validation part."""
        if self._enough():
            self.notes.append(f"Stopped early: no progress in {self.waited} epochs.")
        last = self.plain if self.averages.ema is None else self.averages.ema.module
        chosen, state = f"epoch {self.epoch} (last)", _on_cpu(last.state_dict())
        if self.best["state"] is not None:
            chosen, state = f"epoch {self.best['epoch']} (best on validation)", self.best["state"]
        n = self.averages.epochs_averaged
        if self.averages.swa is not None and n:
            averaged = self.averages.swa.module
            if refresh_batch_norm(averaged, self._plain_inputs()):
                self.notes.append("Batch statistics of the averaged weights were computed anew.")
            value = math.inf
            if len(self.material.validation):
                logits = yield from self.logits_steps(averaged, self.material.validation, "Looking at the average")
                value = goodness(
                    figures_of(logits, self.material.validation_targets, self.material.classes), self.config.monitor
                )
            if value >= self.best["value"]:
                chosen, state = f"average of the last {n} epochs (SWA)", _on_cpu(averaged.state_dict())
        return Fitted(state, chosen, self.history, self.notes)

    def _plain_inputs(self) -> Iterator[torch.Tensor]:
        """Training crops as they are shown when predicting, batch by batch."""
        for part in batches(len(self.material.targets), self.batch):
            rows = np.arange(part.start, part.stop)
            x = self._pixels(rows).permute(0, 3, 1, 2).float().div_(255)
            edge = (x.shape[-1] - self.config.px) // 2
            yield self._normalised(x[..., edge : edge + self.config.px, edge : edge + self.config.px])

    def logits_steps(self, network: Any, crops: Crops, what: str) -> Steps[np.ndarray]:
        """Logits of crops without a margin, float32 (n, k); shared out over the processes."""
        from napari_aml._torch import torch

        network.eval()
        mine = self.processes.part(np.arange(len(crops)))
        parts, said = [torch.zeros((0, self.material.classes), device=self.where)], time.monotonic()
        with torch.inference_mode():
            for part in batches(len(mine), max(16, self.batch)):
                pixels = torch.from_numpy(np.ascontiguousarray(crops.pixels[mine[part]])).to(self.where)
                # As `Network` predicts: on a CPU in float32, whatever was trained in.
                with contextlib.nullcontext() if self.device.type == "cpu" else self.device.autocast():
                    parts.append(network(self._normalised(pixels.permute(0, 3, 1, 2).float().div_(255))).float())
                if time.monotonic() - said > 0.2:
                    said = time.monotonic()
                    yield Progress(self.update, self.config.epochs * self.per_epoch, what)
            every = self.processes.joined(torch.cat(parts), len(crops))
        return every.cpu().numpy()

    # ---- checkpoints ------------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        if self.checkpoints is None or not self.processes.first:
            return
        self.checkpoints.write(
            {
                "epoch": self.epoch, "update": self.update, "summed": float(self.summed), "waited": self.waited,
                "network": self.outer.state_dict(), "optimiser": self.optimiser.state_dict(),
                "scaler": self.scaler.state_dict(), "averages": self.averages.state_dict(), "best": self.best,
                "history": [asdict(e) for e in self.history],
            }
        )  # fmt: skip

    def _take_up(self) -> None:
        state = None if self.checkpoints is None else self.checkpoints.read()
        if state is None:
            return
        self.outer.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.averages.load_state_dict(state["averages"])
        self.epoch, self.update, self.summed = state["epoch"], state["update"], state["summed"]
        self.waited, self.best = state["waited"], state["best"]
        self.history = [Epoch(**e) for e in state["history"]]
        self.notes.append(f"Taken up again after epoch {self.epoch}.")


def _mixed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def _on_cpu(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k: v.detach().cpu().clone() for k, v in state.items()}


def _on_device(crops: Crops, where: torch.device) -> torch.Tensor | None:
    """Hold all training crops on the device where they take a quarter of its free memory at most."""
    from napari_aml._torch import torch

    if where.type == "cpu":
        return torch.from_numpy(crops.pixels) if crops.pixels.flags.writeable else None
    if where.type != "cuda" or crops.pixels.nbytes > 0.25 * torch.cuda.mem_get_info(where)[0]:
        return None
    return torch.from_numpy(np.ascontiguousarray(crops.pixels)).to(where)


def _optimiser(network: torch.nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Build timm's optimiser by name; biases and scales get no weight decay, lower layers a smaller rate."""
    from timm.optim import create_optimizer_v2

    from napari_aml.errors import InputError

    decay = config.layer_decay or (0.75 if config.pretrained or config.weights else 0.0)
    # One pass over all weights instead of one an operation.
    fused: dict[str, Any] = {"fused": True} if config.optimiser in ("adam", "adamw") and config.device != "mps" else {}
    try:
        return create_optimizer_v2(
            network, opt=config.optimiser, lr=config.rate, weight_decay=config.weight_decay,
            momentum=config.momentum, layer_decay=decay or None, **fused,
        )  # fmt: skip
    except (ValueError, AssertionError, TypeError, KeyError) as error:
        from timm.optim import list_optimizers

        names = ", ".join(n for n in ("adamw", "adam", "sgd", "rmsprop", "lamb", "lion", "nadam", "adafactor")
                          if n in list_optimizers())  # fmt: skip
        raise InputError(
            f"The optimiser '{config.optimiser}' cannot be made: {error}".split("\n")[0] + ".",
            f"timm knows {names} and others.",
        ) from error
