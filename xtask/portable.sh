#!/bin/sh
# A compiler for what a Unix without jails compiles: `RUSTC_WORKSPACE_WRAPPER=$PWD/xtask/portable.sh cargo check`.
exec "$@" --cfg heddle_portable
