#!/bin/bash
# The compiler, for what a Unix without jails compiles, whatever this one is: a RUSTC_WORKSPACE_WRAPPER.
# With PORTABLE_LINTS set it lints as well. Not sh: some drop variables with a hyphen in their name, which
# cargo hands on to tests.
exec ${PORTABLE_LINTS:+clippy-driver} "$@" --cfg heddle_portable --deny warnings
