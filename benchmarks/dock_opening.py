"""Time from asking for the dock "Smear review" until it is on the screen, each in a fresh interpreter.

    xvfb-run -a python benchmarks/dock_opening.py

The viewer with one picture is there before the clock starts; the first opening of the plugin in a session is what is
timed, its imports included. It also says whether torch, timm or scikit-image were imported by it (they must not be).
"""

from __future__ import annotations

import statistics
import subprocess
import sys

RUNS = 3

ONE = """
import sys, time
import napari, numpy as np
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer(show=True)
viewer.add_image(np.full((480, 640, 3), 220, np.uint8), rgb=True)
QApplication.processEvents()
before = set(sys.modules)
cpu, clock = time.process_time(), time.perf_counter()
viewer.window.add_plugin_dock_widget("napari-aml", "Smear review")
QApplication.processEvents()
wall, cpu = time.perf_counter() - clock, time.process_time() - cpu
heavy = sorted({"torch", "timm", "skimage", "sklearn", "cv2", "pytorch_grad_cam"} & (set(sys.modules) - before))
print(wall, cpu, ",".join(heavy) or "none")
viewer.close()
"""


def main() -> None:
    walls, cpus, heavy = [], [], set()
    for _ in range(RUNS):
        out = subprocess.run([sys.executable, "-c", ONE], capture_output=True, text=True, check=True).stdout
        wall, cpu, named = out.strip().splitlines()[-1].split()
        walls.append(float(wall))
        cpus.append(float(cpu))
        heavy.add(named)
    print(
        f"opening the dock, {RUNS} fresh interpreters: "
        f"median {statistics.median(walls):.2f} s (least {min(walls):.2f} s,"
    )
    print(f"most {max(walls):.2f} s); CPU time median {statistics.median(cpus):.2f} s   (aim: at most 0.5 s)")
    print(f"heavy packages imported by it: {', '.join(sorted(heavy))}")


if __name__ == "__main__":
    main()
