"""Runs a program on a terminal and does to it what a person does.

Arguments: the steps as JSON, then the program and its arguments. A step is ["await", TEXT], ["type", TEXT], ["file", PATH],
which waits until there is one, ["signal", NUMBER] or ["close"], which closes the terminal's window. What is told at the end as JSON: exit status, or minus the
signal that ended it, and what the terminal showed. The environment's LATE=1 writes "late", and starts the program when the window is closed;
INPUT gives it a file as standard input, and leaves it the terminal for the rest.
"""

import json
import os
import pty
import select
import signal
import sys
import time

steps = json.loads(sys.argv[1])
pid, master = pty.fork()
if pid == 0:
    if os.environ.get("LATE"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.write(1, b"late")
        while os.isatty(0):
            time.sleep(0.02)
    if os.environ.get("INPUT"):
        os.dup2(os.open(os.environ["INPUT"], os.O_RDONLY), 0)
    os.execv(sys.argv[2], sys.argv[2:])

shown = b""


def look(seconds):
    """Reads what the program writes."""
    global shown
    end = time.monotonic() + seconds
    while master is not None and time.monotonic() < end:
        if select.select([master], [], [], 0.02)[0]:
            try:
                octets = os.read(master, 65536)
            except OSError:
                return
            shown += octets


for what, *given in steps:
    if what == "await":
        end = time.monotonic() + 15
        while given[0].encode() not in shown and time.monotonic() < end:
            look(0.05)
    elif what == "type":
        os.write(master, given[0].encode())
        look(0.3)
    elif what == "file":
        end = time.monotonic() + 15
        while not os.path.exists(given[0]) and time.monotonic() < end:
            look(0.02)
    elif what == "signal":
        os.kill(pid, given[0])
    elif what == "close":
        os.close(master)
        master = None

while True:
    ended, status = os.waitpid(pid, os.WNOHANG)
    if ended:
        break
    look(0.05)
    time.sleep(0.01)
# What it wrote before it ended.
look(1)
status = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
print(json.dumps({"status": status, "shown": shown.decode("utf8", "replace")}))
