"""Crops become Predictions, batch by batch.

The next crops are cut in a thread of their own while the network works on the present ones in others, so that a job
can be closed at any time. On a processor a small network works on several batches side by side, one a core: its
operations are too short to be shared out among cores, which would wait for each other and for whoever cuts crops.
Results depend neither on the batch size nor on the order of rows.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml._threads import ComputeThreads
from napari_aml.classify.predictions import Predictions
from napari_aml.classify.sources import ArrayCrops, CropSource
from napari_aml.classify.views import View
from napari_aml.errors import BundleError, DeviceError
from napari_aml.progress import Progress, Steps, run

if TYPE_CHECKING:
    import torch

    from napari_aml._torch import Device
    from napari_aml.classify.bundle import ModelBundle
    from napari_aml.classify.network import Network

# How long the network may work without a sign of life to whoever drives the job, seconds.
_PATIENCE = 0.2
# Multiply-adds that a CPU should get at once: about 0.2 s on two cores, so that cancelling is prompt.
_CPU_WORK = 1.0e10
_ACCELERATOR_BATCH = 256
# The fewest crops that are worth a core of their own.
_FEWEST = 8
# Crops that are cut together: reading a slide crop by crop would read its tiles many times over.
_READ = 64

#: Runs the network on a batch in place of `plain_pass`: (network, pictures, rows, stop) → logits, embedding, anything.
Inspect = Callable[["Network", "torch.Tensor", np.ndarray, threading.Event], tuple["torch.Tensor", "torch.Tensor", Any]]
#: Rows, their predictions, and what was handed out.
Outcome = tuple[np.ndarray, Predictions, Any]


def plain_pass(
    network: Network, pictures: torch.Tensor, rows: np.ndarray, stop: threading.Event
) -> tuple[torch.Tensor, torch.Tensor, Any]:
    """Classify a batch, nothing more."""
    from napari_aml._torch import torch

    with torch.inference_mode():
        return (*network.head(network.features(pictures)), None)


def choose_batch_size(network: Network, px: int) -> int:
    """Choose how many crops the network gets at once.

    On a CPU, as many as take about 0.2 s by the network's size (multiply-adds of a convolutional network are about
    3.5 x parameters x (px/32)²), at most 64; on an accelerator 256.
    """
    if network.device.type != "cpu":
        return _ACCELERATOR_BATCH
    parameters = sum(p.numel() for p in network.model.parameters())
    fits = _CPU_WORK / (3.5 * parameters * (px / 32) ** 2)
    return int(2 ** np.clip(np.floor(np.log2(max(fits, 1))), 0, 6))


def predict_steps(
    bundle: ModelBundle,
    crops: np.ndarray | CropSource,
    device: Device | str = "auto",
    *,
    inspect: Inspect | None = None,
    views: Sequence[View] | None = None,
    batch_size: int | None = None,
) -> Steps[Predictions]:
    """Classify crops, yielding progress.

    Parameters
    ----------
    bundle
        The model.
    crops
        uint8 (n, h, w, 3), or a `CropSource` that cuts them as they are needed.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``mps``, or a `Device`.
    inspect
        Runs the network on the first view of each batch in place of the plain pass and may hand something out
        (heatmaps), which stands in the payload.
    views
        Test-time views whose answers are averaged; by default the plain crop alone.
    batch_size
        Crops at once; by default chosen by device, network and number of crops, on a processor as several batches side
        by side. Halved for the rest of the job when the device's memory is full.

    Yields
    ------
    Progress
        Payload ``(rows, Predictions, inspected)`` of a finished batch, or None.

    Returns
    -------
    Predictions
        Aligned with the crops.

    Raises
    ------
    DeviceError
        When the device is absent or a single crop does not fit into its memory.
    """
    source = ArrayCrops(crops, bundle.crop_px) if isinstance(crops, np.ndarray) else crops
    total, done = len(source), 0
    yield Progress(0, total, "Loading the model")
    network = yield from _load(bundle, device, total)
    if not total:
        bundle.give_back(network)
        return Predictions.empty(bundle.codes, network.dim, bundle.bundle_id)
    plan = _plan(network, bundle.crop_px, total, batch_size, plain=inspect is None)
    look = _Look(bundle, network, tuple(views or (View(),)), inspect or plain_pass, plan.workers)
    parts: list[tuple[np.ndarray, Predictions]] = []
    with closing(_work(look, source, plan)) as work:
        for outcome in work:
            if outcome is None:
                yield Progress(done, total, f"Classified {done} of {total} cells")
                continue
            rows, said, _ = outcome
            parts.append((rows, said))
            done += len(rows)
            yield Progress(done, total, f"Classified {done} of {total} cells", outcome)
    # Only now: a network that something went wrong with, or that was stopped, is not lent again.
    bundle.give_back(network)
    rows = np.concatenate([r for r, _ in parts])
    return Predictions.concatenate([p for _, p in parts]).take(np.argsort(rows))


def predict(bundle: ModelBundle, crops: np.ndarray | CropSource, device: Device | str = "auto") -> Predictions:
    """Classify crops; `predict_steps` driven to its end.

    Examples
    --------
    >>> import napari_aml as aml
    >>> bundle = aml.load_bundle()  # doctest: +SKIP
    >>> aml.predict(bundle, aml.crops(slide, y, x, bundle.crop_um, bundle.crop_px)).code  # doctest: +SKIP
    """
    return run(predict_steps(bundle, crops, device))


def _load(bundle: ModelBundle, device: Device | str, total: int) -> Steps[Network]:
    """Borrow the bundle's network in a thread: importing torch alone may take seconds."""
    loader = ThreadPoolExecutor(1, "load")
    try:
        loading = loader.submit(bundle.borrow, device)
        for _ in _signs_of_life(loading):
            yield Progress(0, total, "Loading the model")
        return loading.result()
    finally:
        loader.shutdown(wait=False)


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a job is cut up.

    Attributes
    ----------
    size
        Crops of a batch.
    workers
        Batches side by side.
    threads
        Of each worker; 0 = as many as torch takes.
    """

    size: int
    workers: int = 1
    threads: int = 0


def _plan(network: Network, px: int, total: int, batch_size: int | None, plain: bool) -> _Plan:
    size = batch_size or choose_batch_size(network, px)
    if network.device.type == "cuda":
        # It gets the next batch while it still works on this one.
        return _Plan(size, 2 if plain else 1)
    if network.device.type != "cpu" or batch_size:
        return _Plan(size)
    workers, threads = ComputeThreads().shares(total)
    # What one core does in the time that two take for twice as much; a small job is shared out evenly.
    each = min(-(-size // 2), -(-total // workers))
    if workers < 2 or each < _FEWEST:
        return _Plan(size)
    return _Plan(each, workers, threads)


class _Look:
    """What is done with one batch: every view through the network, answers averaged. Several may be at work."""

    def __init__(
        self, bundle: ModelBundle, network: Network, views: tuple[View, ...], inspect: Inspect, workers: int
    ) -> None:
        from threadpoolctl import ThreadpoolController

        self.bundle, self.network, self.views, self.inspect = bundle, network, views, inspect
        self._free: SimpleQueue[Network] = SimpleQueue()
        for one in (network, *(network.twin() for _ in range(workers - 1))):
            self._free.put(one)
        self._blas, self._scoring = ThreadpoolController(), threading.Lock()

    def read(self, source: CropSource, rows: np.ndarray) -> list[np.ndarray]:
        """Read the crops of some rows, once a zoom; views that differ in their flips share them."""
        crops = {zoom: source.read(rows, zoom) for zoom in dict.fromkeys(view.zoom for view in self.views)}
        return [view.flipped(crops[view.zoom]) for view in self.views]

    def __call__(self, crops: list[np.ndarray], rows: np.ndarray, stop: threading.Event) -> Outcome:
        """Classify a batch; crops uint8 (n, h, w, 3), once a view."""
        network = self._free.get()
        try:
            return self._classified(network, crops, rows, stop)
        finally:
            self._free.put(network)

    def _classified(
        self, network: Network, crops: list[np.ndarray], rows: np.ndarray, stop: threading.Event
    ) -> Outcome:
        answers, embedding, seen = [], None, None
        for i, pixels in enumerate(crops):
            run_network = plain_pass if i else self.inspect
            pictures = network.prepare(pixels)
            logits, found, handed = run_network(network, pictures, rows, stop)
            answers.append(logits.detach().float().cpu().numpy() / self.bundle.temperature)
            if i == 0:
                embedding, seen = found.detach().float().cpu().numpy(), handed
        probabilities = average(answers, self.bundle.tta.average)
        if not np.isfinite(probabilities).all():
            raise BundleError(
                f"The network of the bundle '{self.bundle.name}' answers with values that are not finite.",
                "Try --device cpu, which computes in full precision; if it stays so, the weights are damaged.",
            )
        vectors = np.asarray(embedding)
        # After a product in threads of its own, BLAS keeps a core busy for a while, waiting for more: the network's.
        # Its limit is everybody's: whoever sets it last must not take the limit for what was before.
        with self._scoring, self._blas.limit(limits=1, user_api="blas"):
            ood = self.bundle.trust.scores(vectors)
        said = Predictions(self.bundle.codes, probabilities, vectors, ood, self.bundle.bundle_id)
        return rows, said, seen


def average(logits: list[np.ndarray], how: str) -> np.ndarray:
    """Average the answers of several views: probabilities float32 (n, k).

    Parameters
    ----------
    logits
        (n, k) a view, divided by the temperature.
    how
        ``probabilities`` or ``logits``.
    """
    stacked = np.stack(logits).astype(np.float64)
    if how == "logits":
        stacked = stacked.mean(0, keepdims=True)
    stacked = np.exp(stacked - stacked.max(-1, keepdims=True))
    return (stacked / stacked.sum(-1, keepdims=True)).mean(0).astype(np.float32)


def _work(look: _Look, source: CropSource, plan: _Plan) -> Generator[Outcome | None, None, None]:
    """Yield finished batches in their order, or None as a sign of life; closing it stops reader and network."""
    from napari_aml._torch import is_out_of_memory, release_memory

    device, order, stop, size = look.network.device, np.asarray(source.order), threading.Event(), plan.size
    reader, worker = ThreadPoolExecutor(1, "crops"), _workers(plan)
    coming = _Reading(reader, look, source, order, size * max(1, -(-_READ // size)))
    todo: deque[tuple[np.ndarray, list[np.ndarray]]] = deque()
    flying: deque[tuple[np.ndarray, list[np.ndarray], Future[Outcome]]] = deque()
    try:
        while coming.future or todo or flying:
            if coming.future and coming.future.done() and len(todo) < plan.workers:
                todo.extend(_pieces(*coming.take(), size))
            while todo and len(flying) < plan.workers:
                piece = todo.popleft()
                flying.append((*piece, worker.submit(look, piece[1], piece[0], stop)))
            awaited: list[Future[Any]] = [flying[0][2]] if flying else []
            if coming.future and not todo:
                awaited.append(coming.future)
            if not wait(awaited, _PATIENCE, FIRST_COMPLETED).done:
                yield None
            if not flying or not flying[0][2].done():
                continue
            tried, crops, future = flying.popleft()
            error = future.exception()
            if error is None:
                yield future.result()
            elif is_out_of_memory(error):
                size = _halved(len(tried), device)
                del error, future  # their traceback holds the tensors that filled the memory
                release_memory(device)
                todo.extendleft(reversed(list(_pieces(tried, crops, size))))
                todo = deque(small for piece in todo for small in _pieces(*piece, size))
            else:
                raise error
    finally:
        stop.set()
        reader.shutdown(wait=False, cancel_futures=True)
        worker.shutdown(cancel_futures=True)


def _workers(plan: _Plan) -> ThreadPoolExecutor:
    if plan.threads:
        return ComputeThreads().pool(plan.workers, plan.threads, "network")
    return ThreadPoolExecutor(plan.workers, "network")


class _Reading:
    """Crops that are read ahead, some rows at a time."""

    def __init__(
        self, reader: ThreadPoolExecutor, look: _Look, source: CropSource, order: np.ndarray, count: int
    ) -> None:
        self._reader, self._look, self._source = reader, look, source
        self._rest = deque(order[i : i + count] for i in range(0, len(order), count))
        self.future: Future[list[np.ndarray]] | None = None
        self._begin()

    def _begin(self) -> None:
        self.future = None
        if self._rest:
            self._rows = self._rest.popleft()
            self.future = self._reader.submit(self._look.read, self._source, self._rows)

    def take(self) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return the rows that were read and their crops, once a view, and begin with the next."""
        assert self.future is not None
        rows, crops = self._rows, self.future.result()
        self._begin()
        return rows, crops


def _signs_of_life(future: Future[Any]) -> Generator[None, None, None]:
    while not wait([future], timeout=_PATIENCE).done:
        yield None


def _pieces(
    rows: np.ndarray, crops: list[np.ndarray], size: int
) -> Generator[tuple[np.ndarray, list[np.ndarray]], None, None]:
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        yield rows[part], [pixels[part] for pixels in crops]


def _halved(size: int, device: Device) -> int:
    if size <= 1:
        raise DeviceError(
            f"The memory of '{device.name}' is full with a single cell.",
            "Close other programs that use it, choose a smaller model, or use --device cpu.",
        )
    return size // 2
