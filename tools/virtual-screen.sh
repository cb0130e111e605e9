#!/bin/sh
# Make sure that a virtual screen (Xvfb) with software OpenGL can be started; Linux only.
set -eu
[ "$(uname -s)" = Linux ] || exit 0

# Qt 6's platform plugin and vispy load these at run time.
packages="xvfb xauth libgl1 libgl1-mesa-dri libegl1 libopengl0 libglib2.0-0 libfontconfig1 libdbus-1-3 libxkbcommon-x11-0 libxcb-cursor0 \
libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libxcb-xkb1"

missing=""
if command -v dpkg-query >/dev/null 2>&1; then
    for package in $packages; do
        # libglib2.0-0 is called libglib2.0-0t64 on newer releases.
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok' && continue
        dpkg-query -W -f='${Status}' "${package}t64" 2>/dev/null | grep -q '^install ok' && continue
        missing="$missing $package"
    done
else
    command -v xvfb-run >/dev/null 2>&1 && exit 0
    echo "This system has no apt-get. Install Xvfb (with xvfb-run), Mesa's OpenGL and the xcb libraries of Qt 6, then run make test again." >&2
    exit 1
fi
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo"
else
    echo "The tests draw on a virtual screen. Please install, as root:" >&2
    echo "  apt-get install$missing" >&2
    exit 1
fi
echo "Installing for the virtual screen:$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
