"""A smart host that takes everything and writes down what it got: one JSON object a line for each message.

The one argument is JSON: port, tls_port, certificate, key, record (a file).
"""

import asyncio
import base64
import email
import email.policy
import email.utils
import json
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult

warnings.simplefilter("ignore")
WANT = json.loads(sys.argv[1])


def addresses(message, name):
    """Raw texts: a name without a domain is what some programs write, and to be seen as that."""
    return [address for _, address in email.utils.getaddresses(message.get_all(name, []))]


class Record:
    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.compat32)
        told = {
            "login": session.auth_data,
            "tls": session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None,
            "hello": session.host_name,
            "reversePath": envelope.mail_from.strip("<>"),
            "recipients": envelope.rcpt_tos,
            "from": addresses(message, "From"),
            "sender": addresses(message, "Sender"),
            "content": base64.b64encode(envelope.content).decode(),
        }
        with open(WANT["record"], "a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")
        return "250 2.0.0 recorded"


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=True, handled=False, auth_data=f"{data.login.decode()}:{data.password.decode()}")


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(WANT["certificate"], WANT["key"])
    return made


def factory(starttls):
    def make():
        return SMTP(
            Record(),
            hostname="smtp.example.org",
            authenticator=authenticate,
            auth_require_tls=False,
            tls_context=context() if starttls else None,
        )

    return make


async def main():
    loop = asyncio.get_running_loop()
    await loop.create_server(factory(True), "127.0.0.1", WANT["port"])
    await loop.create_server(factory(False), "127.0.0.1", WANT["tls_port"], ssl=context())
    await asyncio.Event().wait()


asyncio.run(main())
