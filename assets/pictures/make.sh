#!/usr/bin/env bash
# Makes the README's pictures with the binary itself, from the seeded demo on virtual time: the same
# bytes every time.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --locked --quiet
picture() { target/debug/wallboard "$@" --format svg; }
picture snapshot --size 120x40 --scene board >assets/pictures/board.svg
picture snapshot --size 140x34 --scene call --after 60 >assets/pictures/call.svg
picture --theme light snapshot --size 120x30 --scene board >assets/pictures/light.svg
