#!/bin/sh
# Makes the PNG files from the SVG files beside them, with librsvg's rsvg-convert. Run it after changing a drawing.
set -eu
cd "$(dirname "$0")"
for state in alone joined serving working trouble; do
  rsvg-convert --width 44 --height 44 "$state.svg" --output "$state.png"
done
rsvg-convert --width 512 --height 512 app.svg --output icon.png
