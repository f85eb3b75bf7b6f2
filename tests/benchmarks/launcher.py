"""Run a command and write what it took to a file: `launcher.py FILE PROGRAM ARGUMENT…`. The standard library only.

A process that is started by a big one inherits its peak of resident memory; this one is small.
"""

import json
import os
import pathlib
import sys
import time

if __name__ == "__main__":
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        os.execvp(sys.argv[2], sys.argv[2:])
    _, status, usage = os.wait4(child, 0)
    taken = {
        "wall": time.monotonic() - started,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * 1024,
        "code": os.waitstatus_to_exitcode(status),
    }
    pathlib.Path(sys.argv[1]).write_text(json.dumps(taken))
