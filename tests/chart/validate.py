"""Validates Kubernetes' own kinds against the schemas of every supported minor: validate.py FILE..."""
import sys

import kubernetes_validate
import yaml

MINORS = ["1.31", "1.34", "1.36"]
# Kinds that are no part of Kubernetes' own schemas.
FOREIGN = {"monitoring.coreos.com", "banyan.media"}

wrong = 0
checked = 0
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as text:
        for found in yaml.safe_load_all(text):
            if not found or found["apiVersion"].split("/")[0] in FOREIGN:
                continue
            for minor in MINORS:
                checked += 1
                try:
                    kubernetes_validate.validate(found, minor, strict=True)
                except kubernetes_validate.ValidationError as error:
                    where = ".".join(str(part) for part in error.path)
                    print(f"{path}: {found['kind']} {found['metadata']['name']}, Kubernetes {minor}: {where}: {error.message}")
                    wrong += 1
print(f"validated {checked} times")
sys.exit(1 if wrong or not checked else 0)
