"""Mail servers with the faults that a well-behaved one cannot show; the good one beside them is Exim.

Three ports: STARTTLS and AUTH with faults on demand; the same with an expired certificate; and one that offers
neither STARTTLS nor AUTH. What they accept is stored like Exim's mail, one file a message, in DIR/fault-mail.
"""
import asyncio
import os
import ssl
import sys
import time

from aiosmtpd.smtp import SMTP, AuthResult

import faults

FOLDER, USER, PASSWORD = sys.argv[1:4]
MAIL = os.path.join(FOLDER, "fault-mail")
FAULTS = os.path.join(FOLDER, "fault")
# Answered to RCPT: temp perm hang; to the end of DATA: busy deny; connection cut: cut (nothing stored), lost (stored).
MODES = ("temp", "perm", "hang", "busy", "deny", "cut", "lost")


class Handler:
    stored = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        fault = faults.take(FAULTS, address, MODES)
        if fault == "temp":
            return "451 4.3.0 mailbox temporarily unavailable"
        if fault == "perm":
            return "550 5.1.1 no such user here"
        if fault == "hang":
            await asyncio.sleep(3600)
        envelope.rcpt_tos.append(address)
        envelope.fault = fault or getattr(envelope, "fault", None)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        fault = envelope.fault
        if fault == "busy":
            return "452 4.3.1 insufficient storage, try again later"
        if fault == "deny":
            return "550 5.7.1 content refused"
        if fault != "cut":
            self.store(session, envelope)
        if fault in ("cut", "lost"):
            server.transport.abort()
        return "250 2.0.0 queued"

    def store(self, session, envelope):
        Handler.stored += 1
        name = os.path.join(MAIL, f"{time.time_ns()}.{Handler.stored}")
        head = f"Return-path: <{envelope.mail_from}>\nEnvelope-to: {', '.join(envelope.rcpt_tos)}\n"
        how = ("ESMTPSA" if session.authenticated else "ESMTPS") if session.ssl else "ESMTP"
        head += f"Received: by smtp_faults.py with {how}\n"
        with open(name + ".new", "wb") as file:
            file.write(head.encode() + envelope.original_content.replace(b"\r\n", b"\n"))
        os.replace(name + ".new", name)


def authenticate(server, session, envelope, mechanism, data):
    right = (data.login.decode("utf-8", "replace"), data.password.decode("utf-8", "replace")) == (USER, PASSWORD)
    return AuthResult(success=right, handled=right)


def server_with(certificate):
    def factory():
        if certificate is None:
            return SMTP(Handler(), hostname="faults.test", ident="faults", enable_SMTPUTF8=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(FOLDER, "tls", certificate + ".crt"), os.path.join(FOLDER, "tls", certificate + ".key"))
        return SMTP(Handler(), hostname="faults.test", ident="faults", enable_SMTPUTF8=True, tls_context=context,
                    require_starttls=True, authenticator=authenticate, auth_required=True, auth_require_tls=True)
    return factory


async def main():
    os.makedirs(MAIL, exist_ok=True)
    loop = asyncio.get_running_loop()
    env = {"SMTP_FAULT_MAIL": MAIL, "SMTP_FAULTS": FAULTS}
    kept = []
    for key, certificate in (("SMTP_FAULT_PORT", "good"), ("SMTP_EXPIRED_PORT", "expired"), ("SMTP_PLAIN_PORT", None)):
        kept.append(await loop.create_server(server_with(certificate), "127.0.0.1", 0))
        env[key] = kept[-1].sockets[0].getsockname()[1]
    with open(os.path.join(FOLDER, "faults.env.new"), "w", encoding="utf-8") as file:
        file.writelines(f"{key}={value}\n" for key, value in env.items())
    os.replace(os.path.join(FOLDER, "faults.env.new"), os.path.join(FOLDER, "faults.env"))
    await asyncio.gather(*(server.serve_forever() for server in kept))


asyncio.run(main())
