#!/bin/bash
# The compiler, for what a Unix without jails compiles (not sh: some drop variables with a hyphen, which cargo
# hands on): `RUSTC_WORKSPACE_WRAPPER=$PWD/xtask/portable.sh cargo test --workspace --test inside`
exec "$@" --cfg heddle_portable
