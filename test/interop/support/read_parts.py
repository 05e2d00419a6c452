"""Reads a message on standard input with Python's email package and writes its parts as JSON, each decoded, in order."""

import base64
import email
import email.policy
import json
import sys


def parts(message, depth=0):
    kind = message.get_content_type()
    found = {"depth": depth, "type": kind, "charset": message.get_content_charset() or "", "name": message.get_filename() or ""}
    if kind == "message/rfc822":
        found["subject"] = str(message.get_payload(0).get("subject", ""))
    elif not message.is_multipart():
        octets = message.get_payload(decode=True)
        found["octets"] = base64.b64encode(octets).decode()
    yield found
    if message.is_multipart():
        for part in message.get_payload():
            yield from parts(part, depth + 1)


message = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
json.dump(
    {
        "parts": list(parts(message)),
        "encodings": [str(part.get("content-transfer-encoding", "")).lower() for part in message.walk()],
        "defects": [type(defect).__name__ for part in message.walk() for defect in part.defects],
    },
    sys.stdout,
)
