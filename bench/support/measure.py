"""As measure.c, for hosts without a C compiler. Peaks below Python's own (about 10 MiB) cannot be seen."""
import os
import sys
import time

samples = sys.argv[1] == "-a"
command = sys.argv[2:] if samples else sys.argv[1:]
os.set_inheritable(3, False)
begun = time.monotonic()
child = os.fork()
if child == 0:
    try:
        os.execvp(command[0], command)
    finally:
        os._exit(127)
peak = 0
ended = 0
while samples and not ended:
    try:
        with open(f"/proc/{child}/statm") as statm:
            _, resident, shared = map(int, statm.read().split()[:3])
        peak = max(peak, (resident - shared) * os.sysconf("SC_PAGESIZE") // 1024)
    except (OSError, ValueError):
        break
    time.sleep(0.002)
    ended, status, used = os.wait4(child, os.WNOHANG)
if not ended:
    _, status, used = os.wait4(child, 0)
os.write(3, f"{status} {time.monotonic() - begun:.6f} {used.ru_utime:.6f} {used.ru_stime:.6f} {used.ru_maxrss} {peak}\n".encode())
