"""Runs an experiment and lets no time pass: every wait goes to the file RECORD. INTERRUPT is the wait that Ctrl-C ends."""

import json
import os
import runpy
import sys
import time
from pathlib import Path

waits = 0


def sleep(seconds):
    global waits
    waits += 1
    with open(os.environ["RECORD"], "a") as record:
        record.write(json.dumps({"call": "wait", "seconds": seconds}) + "\n")
    if os.environ.get("INTERRUPT") == str(waits):
        raise KeyboardInterrupt


time.sleep = sleep
script = Path(sys.argv[1])
sys.path.insert(0, str(script.parent))
runpy.run_path(str(script), run_name="__main__")
