"""Types at a program on a terminal: the one argument is JSON: argv, steps ([pattern, keys] each), seconds.

What the program showed goes to standard output; the status is the program's.
"""

import json
import os
import pty
import re
import select
import sys
import time

WANT = json.loads(sys.argv[1])
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(WANT["argv"][0], WANT["argv"])
seen = b""
looked = 0
end = time.time() + WANT["seconds"]


def read(patience):
    global seen
    ready, _, _ = select.select([terminal], [], [], patience)
    if not ready:
        return False
    try:
        octets = os.read(terminal, 65536)
    except OSError:
        return None
    seen += octets
    return bool(octets) or None


for pattern, keys in WANT["steps"]:
    while not re.search(pattern.encode(), seen[looked:]):
        if read(0.2) is None or time.time() > end:
            break
    looked = len(seen)
    # A program that has just drawn its screen may throw away what was typed before.
    time.sleep(0.3)
    try:
        os.write(terminal, keys.encode())
    except OSError:
        break
# What is not done after the last keys will not be.
end = min(end, time.time() + 4)
while time.time() < end and read(0.2) is not None:
    pass
sys.stdout.buffer.write(seen)
sys.stdout.flush()
try:
    os.kill(pid, 9)
except ProcessLookupError:
    pass
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status) & 255)
