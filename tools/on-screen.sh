#!/bin/sh
# Run a command on a virtual screen where there is xvfb-run, else as it is (macOS, Windows).
set -eu
export NAPARI_ASYNC=0
unset QT_QPA_PLATFORM || true
if command -v xvfb-run >/dev/null 2>&1; then
    exec xvfb-run -a -s "-screen 0 1920x1200x24" "$@"
fi
exec "$@"
