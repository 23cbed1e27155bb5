#!/usr/bin/env bash
# Builds web/dist, only when the sources or the lock file changed.
set -euo pipefail
cd "$(dirname "$0")/../web"

digest=$(git ls-files -co --exclude-standard . | LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum | cut -d' ' -f1)
if [ -f dist/index.html ] && [ "$(cat node_modules/.banyan-digest 2>/dev/null)" = "$digest" ]; then
  exit 0
fi
npm ci --prefer-offline --no-fund --no-audit --loglevel=error
npm run --silent build
echo "$digest" > node_modules/.banyan-digest
