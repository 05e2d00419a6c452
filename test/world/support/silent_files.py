"""Mounts a file system whose server never answers at a folder, and runs a program while it is there: silent_files.py FOLDER PROGRAM..."""

import ctypes
import os
import sys

folder = sys.argv[1]
device = os.open("/dev/fuse", os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
options = f"fd={device},rootmode=40000,user_id=0,group_id=0"
if libc.mount(b"silent", folder.encode(), b"fuse", 0, options.encode()) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
# The server of the files lives as long as it holds the device.
os.set_inheritable(device, True)
os.execvp(sys.argv[2], sys.argv[2:])
