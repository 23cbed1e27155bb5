#!/usr/bin/env python3
"""Writes an OCI image archive without an engine: files in, one tar out that podman, docker and containerd load.

The same input gives the same bytes: entries are sorted, owned by root and dated 1970, and nothing of this machine is
told. A binary brings the shared libraries it needs, with the loader, as the first layer (equal for binaries with
equal needs, so nodes store it once), and the versions of the Debian packages they are from as a label.

    oci.py --out FILE --name NAME:TAG --entrypoint PATH [--label KEY=VALUE]... [--libraries] SOURCE=/PATH...
"""
import argparse
import gzip
import hashlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import tarfile

USER = 65532
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
# What the C library looks for, and folders that processes expect.
SYSTEM = {
    "etc/passwd": f"root:x:0:0:root:/:/nonexistent\nbanyan:x:{USER}:{USER}:banyan:/:/nonexistent\n",
    "etc/group": f"root:x:0:\nbanyan:x:{USER}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
FOLDERS = {"tmp": 0o1777, "var/cache/banyan": 0o777, "media": 0o755}
LINKS = {"lib": "usr/lib", "lib64": "usr/lib64"}


def libraries(binary):
    """Paths of the shared libraries of a binary, with its loader, as the loader itself finds them."""
    listed = subprocess.run(["ldd", binary], capture_output=True, text=True)
    if listed.returncode != 0:
        if "not a dynamic executable" in listed.stderr + listed.stdout:
            return set()
        sys.exit(f"the libraries of {binary} are not known: {listed.stderr.strip()}")
    found = set()
    for line in listed.stdout.splitlines():
        if "not found" in line:
            sys.exit(f"a library of {binary} is missing: {line.strip()}")
        path = re.search(r"(/\S+) \(0x", line)
        if path:
            found.add(path.group(1))
    return found


def in_image(path):
    """Where a library lies in the image: folders of the root are links into usr/."""
    path = path.lstrip("/")
    return "usr/" + path if path.startswith(("lib/", "lib64/")) else path


def packages(paths):
    """Debian packages with their versions that these files are from."""
    names = set()
    for path in paths:
        real = os.path.realpath(path)
        # dpkg knows a file by the name that its package gave it, with or without usr/.
        for candidate in (real, real.removeprefix("/usr"), path):
            owner = subprocess.run(["dpkg", "-S", candidate], capture_output=True, text=True)
            if owner.returncode == 0:
                names.add(owner.stdout.split("\n")[0].rsplit(": ", 1)[0])
                break
        else:
            sys.exit(f"no Debian package owns {path}, so its version cannot be told")
    if not names:
        return ""
    query = subprocess.run(["dpkg-query", "-W", "-f", "${Package}=${Version}\n", *sorted(names)],
                           capture_output=True, text=True, check=True)
    return " ".join(sorted(set(query.stdout.split())))


class Layer:
    """A tar whose bytes depend on its entries only."""

    def __init__(self):
        self.entries = {}

    def add(self, path, content=None, mode=0o644, link=None):
        entry = tarfile.TarInfo(path)
        entry.mode = mode
        if link is not None:
            entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, link, 0o777
        elif content is None:
            entry.type = tarfile.DIRTYPE
        else:
            entry.size = len(content)
        self.entries[path] = (entry, content)
        parent = os.path.dirname(path)
        if parent and parent not in self.entries:
            self.add(parent, mode=0o755)

    def tar(self):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path in sorted(self.entries):
                entry, content = self.entries[path]
                archive.addfile(entry, io.BytesIO(content) if content is not None else None)
        return out.getvalue()


def read(path):
    with open(path, "rb") as file:
        return file.read()


def base_layer(found):
    layer = Layer()
    for path, text in SYSTEM.items():
        layer.add(path, text.encode())
    for path, mode in FOLDERS.items():
        layer.add(path, mode=mode)
    for path, target in LINKS.items():
        layer.add(path, link=target)
        layer.add(target, mode=0o755)
    for path in found:
        layer.add(in_image(path), read(path), mode=0o755)
    return layer


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--entrypoint", required=True)
    parser.add_argument("--label", action="append", default=[])
    parser.add_argument("--libraries", action="store_true")
    parser.add_argument("files", nargs="+", metavar="SOURCE=/PATH")
    options = parser.parse_args()
    files = [file.split("=", 1) for file in options.files]
    labels = dict(label.split("=", 1) for label in options.label)

    layers = []
    if options.libraries:
        found = set().union(*(libraries(source) for source, _ in files))
        layers.append(base_layer(found).tar())
        labels["banyan.media/debian-packages"] = packages(found)
    own = Layer()
    for source, path in files:
        own.add(path.lstrip("/"), read(source), mode=0o755 if os.access(source, os.X_OK) else 0o644)
    layers.append(own.tar())

    blobs = {}

    def blob(media_type, content):
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def document(media_type, value):
        return blob(media_type, json.dumps(value, sort_keys=True).encode())

    described = [blob("application/vnd.oci.image.layer.v1.tar+gzip", gzip.compress(layer, 6, mtime=0)) for layer in layers]
    config = document("application/vnd.oci.image.config.v1+json", {
        "architecture": ARCHITECTURE, "os": "linux", "created": "1970-01-01T00:00:00Z",
        "config": {"Entrypoint": [options.entrypoint], "User": f"{USER}:{USER}", "WorkingDir": "/", "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]},
    })
    manifest_type = "application/vnd.oci.image.manifest.v1+json"
    manifest = document(manifest_type, {
        "schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": described,
    })
    manifest["platform"] = {"architecture": ARCHITECTURE, "os": "linux"}
    manifest["annotations"] = {
        "org.opencontainers.image.ref.name": options.name,
        "io.containerd.image.name": options.name,
    }
    archive = Layer()
    archive.add("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    archive.add("index.json", json.dumps({"schemaVersion": 2, "manifests": [manifest]}, sort_keys=True).encode())
    for digest, content in blobs.items():
        archive.add(f"blobs/sha256/{digest}", content)
    with open(options.out + ".part", "wb") as file:
        file.write(archive.tar())
    os.replace(options.out + ".part", options.out)
    print(f"{options.name} {manifest['digest']} {os.path.getsize(options.out)} bytes")


main()
