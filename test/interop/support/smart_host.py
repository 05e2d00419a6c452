"""A smart host on Python's aiosmtpd: writes what it gets into Maildirs, refuses by local part.

The one argument is JSON: port, tls_port, certificate, key, auth_required, mail (folder), user, password, mailboxes.
"""

import asyncio
import json
import os
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult

warnings.simplefilter("ignore")
WANT = json.loads(sys.argv[1])
LIMIT = 128 * 1024 * 1024
written = 0


def local(address):
    return address.rsplit("@", 1)[0]


class Store:
    async def handle_RCPT(self, server, session, envelope, address, options):
        name = local(address)
        if not address.endswith("@peer.test"):
            return "550 5.7.1 relaying denied"
        if name == "refused":
            return "550 5.1.1 no such mailbox here"
        if name == "later":
            return "451 4.7.1 try again later"
        if name not in WANT["mailboxes"] + ["atdata", "afterdot", "laterdot"]:
            return "550 5.1.1 unknown"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 accepted"

    async def handle_DATA(self, server, session, envelope):
        global written
        names = [local(address) for address in envelope.rcpt_tos]
        if "afterdot" in names:
            return "552 5.3.4 content not wanted"
        if "laterdot" in names:
            return "451 4.3.0 content not wanted now"
        for name in names:
            folder = os.path.join(WANT["mail"], name, "new")
            os.makedirs(folder, exist_ok=True)
            written += 1
            path = os.path.join(WANT["mail"], f"{written}.tmp")
            with open(path, "wb") as file:
                file.write(f"Return-Path: <{envelope.mail_from.strip('<>')}>\n".encode())
                file.write(envelope.content)
            os.rename(path, os.path.join(folder, f"{written:06}"))
        return "250 2.0.0 stored"


class Server(SMTP):
    async def smtp_DATA(self, arg):
        if any(local(address) == "atdata" for address in self.envelope.rcpt_tos):
            await self.push("550 5.7.1 no content wanted")
            return
        await super().smtp_DATA(arg)


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == WANT["user"].encode() and data.password == WANT["password"].encode()
    # "Handled" would mean that the reply has been sent.
    return AuthResult(success=good, handled=False, auth_data=WANT["user"] if good else None)


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(WANT["certificate"], WANT["key"])
    return made


def factory(starttls):
    def make():
        return Server(
            Store(),
            hostname="aiosmtpd.peer.test",
            data_size_limit=LIMIT,
            enable_SMTPUTF8=True,
            decode_data=False,
            tls_context=context() if starttls else None,
            auth_required=WANT["auth_required"],
            auth_require_tls=False,
            authenticator=authenticate,
            timeout=600,
        )

    return make


async def main():
    loop = asyncio.get_running_loop()
    tls = bool(WANT.get("certificate"))
    await loop.create_server(factory(tls), WANT["host"], WANT["port"])
    if tls:
        await loop.create_server(factory(False), WANT["host"], WANT["tls_port"], ssl=context())
    await asyncio.Event().wait()


asyncio.run(main())
