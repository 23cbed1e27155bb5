"""Loads a package of services as core-daemon does and prints each with its files, filled in for a node, as JSON."""

import importlib
import inspect
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

from core.services.base import CoreService, ServiceMode

package = Path(sys.argv[1])
sys.path.insert(0, str(package.parent))
module = importlib.import_module(f"{package.name}.banyan")
found = []
for _, member in inspect.getmembers(module, inspect.isclass):
    if not issubclass(member, CoreService) or member.__module__ != module.__name__:
        continue
    service = member(SimpleNamespace(name=sys.argv[2]))
    assert service.name and service.group, member
    assert isinstance(service.validation_mode, ServiceMode), member
    files = {}
    for name in service.files:
        text = inspect.cleandoc(service.get_text_template(name))
        values = {**service.data(), "node.name": service.node.name}
        assert not re.search(r"^\s*(%|##)", text, re.M), text
        files[name] = re.sub(r"\$\{([^}]*)\}", lambda found: values[found.group(1)], text)
    for command in service.startup + service.validate + service.shutdown:
        assert command.removeprefix("bash ") in files, command
    found.append({"name": service.name, "files": files, "mode": service.validation_mode.name,
                  "period": service.validation_period, "timer": service.validation_timer,
                  "executables": service.executables, "dependencies": service.dependencies,
                  "startup": service.startup, "validate": service.validate, "shutdown": service.shutdown})
print(json.dumps(found))
