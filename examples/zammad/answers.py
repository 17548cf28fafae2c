"""Zammad's trigger tells of agents' articles; public ones become commands, in the table that is sent from."""

import hashlib
import hmac
import json
import logging
import os
import re
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler

from desk import state

log = logging.getLogger("zammad-bridge")


class Text(HTMLParser):
    """What an agent wrote, without the markup of Zammad's editor."""

    def __init__(self, html):
        super().__init__()
        self.parts = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.parts += ["\n"] if tag in ("br", "div", "p", "li") else []

    def handle_data(self, data):
        self.parts.append(data)

    def __str__(self):
        return re.sub(r"\n{3,}", "\n\n", "".join(self.parts).replace("\xa0", " ")).strip()


def answered(database, ticket, written):
    """A public article of an agent becomes a command. Its id is the article's, so that a repeat is the same one."""
    sql = "SELECT reply FROM cases WHERE ticket = ? ORDER BY rowid DESC LIMIT 1"
    case = database.execute(sql, [ticket["id"]]).fetchone()
    if case is None or written["internal"] or written["sender"] != "Agent":
        return
    reply = json.loads(case[0])
    if not reply:
        log.error("ticket %s: nothing can be answered here", ticket["id"])
        return
    kind, by = "send_post" if "send_post" in reply else "send_direct_message", written["created_by"]
    text = str(Text(written["body"])) if "html" in written["content_type"] else written["body"].strip()
    # Fetched by twitter-channel, which knows Zammad's token by [[attachment_sources]].
    files = [{"url": file["url"], "filename": file["filename"]} for file in written.get("attachments") or []]
    command = {
        **reply, "command_id": f"zammad-{written['id']}", "metadata": {"ticket": str(ticket["number"])},
        "agent": {"id": str(by["id"]), "name": f"{by.get('firstname') or ''} {by.get('lastname') or ''}".strip()},
        kind: {**reply[kind], "text": text, "attachments": files},
    }
    row = [command["command_id"], ticket["id"], json.dumps(command)]
    database.execute("INSERT OR IGNORE INTO commands (id, ticket, body) VALUES (?, ?, ?)", row)


class Webhook(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        signature = "sha1=" + hmac.new(os.environ["WEBHOOK_TOKEN"].encode(), body, hashlib.sha1).hexdigest()
        if not hmac.compare_digest(signature.encode(), self.headers.get("X-Hub-Signature", "").encode()):
            self.send_error(401)
            return
        payload, database = json.loads(body), state()
        answered(database, payload["ticket"], payload["article"])
        database.close()
        self.send_response(204)
        self.end_headers()

    def log_message(self, format, *arguments):
        log.debug(format, *arguments)
