"""An SMTP server that fails as the address says, up to the first dot of its local part:

    451.bob@example.org         answers RCPT with that code, any of 400 to 599; as a sender's address, MAIL
    greylist.bob@example.org    answers the first RCPT for this address with 451, later ones with 250
    data-554.bob@example.org    answers with that code after the message
    drop.bob@example.org        closes the connection at RCPT
    drop-data.bob@example.org   closes the connection after the message, without an answer and without keeping it
    slow-1500.bob@example.org   answers RCPT after so many milliseconds

Every other message is kept in the maildir, with its envelope in X-MailFrom and X-RcptTo.

    server.py PORT MAILDIR
"""

import asyncio
import mailbox
import re
import sys

from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP

REASONS = {4: "try again later", 5: "refused"}


def instruction(address: str) -> str:
    return address.partition("@")[0].partition(".")[0]


def code_in(text: str) -> int | None:
    match = re.fullmatch(r"([45]\d\d)", text)
    return int(match[1]) if match else None


def answer(code: int) -> str:
    return f"{code} {REASONS[code // 100]}"


class Failures(Mailbox):
    def __init__(self, folder: str):
        super().__init__(folder)
        self.seen: set[str] = set()

    async def handle_MAIL(self, server, session, envelope, address, options):
        if code := code_in(instruction(address)):
            return answer(code)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        wanted = instruction(address)
        if code := code_in(wanted):
            return answer(code)
        if wanted == "greylist" and address not in self.seen:
            self.seen.add(address)
            return answer(451)
        if wanted == "drop":
            return self.hang_up(server)
        if match := re.fullmatch(r"slow-(\d+)", wanted):
            await asyncio.sleep(int(match[1]) / 1000)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        for address in envelope.rcpt_tos:
            wanted = instruction(address)
            if wanted == "drop-data":
                return self.hang_up(server)
            if wanted.startswith("data-") and (code := code_in(wanted[5:])):
                return answer(code)
        return await super().handle_DATA(server, session, envelope)

    @staticmethod
    def hang_up(server) -> str:
        server.transport.abort()
        return "421 closing"


async def main(port: int, folder: str) -> None:
    mailbox.Maildir(folder)
    handler = Failures(folder)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, hostname="failures.example.org"), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
