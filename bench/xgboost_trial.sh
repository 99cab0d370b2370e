#!/usr/bin/env bash
# What a fresh XGBoost trial costs: ours, a bare C API program that only trains, a fresh Python process.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cmake --build build/release --target bench_xgb_trial >/dev/null
exec build/release/bin/bench_xgb_trial "$@"
