"""Reads a message on standard input with Python's email package and writes what is in it as JSON."""

import email
import email.policy
import json
import sys

message = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
body = message.get_body(("plain", "html")) or message
json.dump(
    {
        "subject": str(message.get("subject", "")),
        "from": str(message.get("from", "")),
        "to": str(message.get("to", "")),
        "bcc": str(message.get("bcc", "")),
        "text": body.get_content() if body.get_content_maintype() == "text" else "",
        "charset": body.get_content_charset() or "",
        "defects": [type(defect).__name__ for part in message.walk() for defect in part.defects],
    },
    sys.stdout,
)
