#!/bin/sh
# Installs what is missing, builds, checks and runs every test, or those whose path is given; ends with "N passed, N failed".
set -u
cd -- "$(dirname -- "$0")/.." || exit 1
sh tools/setup.sh test || exit 1
PATH=$PWD/node_modules/.bin:$PATH
export PATH
npm run --silent build && npm run --silent check || { echo '0 passed, 1 failed'; exit 1; }
report=$(mktemp) || exit 1
vitest run --reporter=default --reporter=json --outputFile.json="$report" "$@"
status=$?
node tools/test-sum.ts "$report" || status=1
rm -f -- "$report"
exit "$status"
