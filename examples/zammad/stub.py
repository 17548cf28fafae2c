#!/usr/bin/env python3
"""A Zammad that only looks at requests: what Zammad's documentation says of them must hold, or they are refused.

https://docs.zammad.org/en/latest/api/intro.html, .../api/user.html, .../api/ticket/index.html and .../articles.html;
https://admin-docs.zammad.org/en/latest/manage/webhook.html. It also has an agent, who writes what POST /agent says,
and a trigger that tells of it as Zammad's does: `python3 stub.py HOST:PORT`, and GET /seen for what there is.
"""

import hashlib
import hmac
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import URLError
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

# Field: its type, and whether it must be there.
USER = {"login": (str, True), "firstname": (str, True), "lastname": (str, False), "web": (str, False)}
ARTICLE = {
    "body": (str, True), "subject": (str, False), "content_type": (str, False), "type": (str, False),
    "internal": (bool, False), "sender": (str, False), "origin_by_id": (int, False), "message_id": (str, False),
}
TICKET = {"title": (str, True), "group": (str, True), "customer_id": (int, True), "article": (dict, True)}
STATES = ["new", "open", "pending reminder", "closed"]
seen = {"users": [], "tickets": [], "articles": [], "faults": [], "webhook": []}


class Refused(Exception):
    def __init__(self, status, why):
        super().__init__(why)
        self.status = status


def require(holds, why, status=422):
    if not holds:
        raise Refused(status, why)


def check(body, fields, what):
    require(isinstance(body, dict), f"{what} is no object")
    for name, value in body.items():
        require(name in fields, f"{what}.{name} is not documented")
        require(type(value) is fields[name][0], f"{what}.{name} is a {type(value).__name__}")
    for name, (_, needed) in fields.items():
        require(not needed or body.get(name) not in (None, "", {}), f"{what}.{name} is missing")


def find(kind, number):
    found = [it for it in seen[kind] if it["id"] == number]
    require(found, f"no {kind} {number}", 404)
    return found[0]


def add(kind, fields):
    row = {"id": len(seen[kind]) + 1, "created_at": "2026-01-01T00:00:00.000Z", **fields}
    seen[kind].append(row)
    return row


def add_article(ticket, fields):
    check(fields, ARTICLE, "article")
    require(fields.get("type", "note") in ("note", "phone", "email", "web"), "article.type")
    require(fields.get("content_type", "text/plain") in ("text/plain", "text/html"), "article.content_type")
    require(fields.get("sender", "Agent") in ("Agent", "Customer", "System"), "article.sender")
    if "origin_by_id" in fields:
        find("users", fields["origin_by_id"])
    article = {"ticket_id": ticket["id"], "internal": False, "sender": "Agent", "type": "note", **fields}
    return add("articles", article)


def users(method, path, query, body):
    if method == "GET" and path == ["search"]:
        require("query" in query, "no query")
        login = query["query"].removeprefix("login:")
        return 200, [user for user in seen["users"] if login in user["login"]]
    require(method == "POST" and not path, "no such call", 404)
    check(body, USER, "user")
    require(all(user["login"] != body["login"] for user in seen["users"]), "the login is in use")
    return 201, add("users", body)


def tickets(method, path, query, body):
    if method == "GET" and path == ["search"]:
        customer = int(query["query"].removeprefix("customer_id:"))
        found = [ticket["id"] for ticket in seen["tickets"] if ticket["customer_id"] == customer]
        return 200, {"tickets": found, "tickets_count": len(found), "assets": {}}
    if method == "PUT" and len(path) == 1:
        ticket = find("tickets", int(path[0]))
        require(set(body) <= {"state", "title", "group"} and body.get("state", "open") in STATES, "ticket")
        ticket.update(body)
        return 200, ticket
    require(method == "POST" and not path, "no such call", 404)
    check(body, TICKET, "ticket")
    find("users", body["customer_id"])
    check(body["article"], ARTICLE, "article")
    number = str(22000 + len(seen["tickets"]))
    ticket = add("tickets", {"number": number, "state": "new", **{k: v for k, v in body.items() if k != "article"}})
    add_article(ticket, body["article"])
    return 201, ticket


def ticket_articles(method, path, query, body):
    if method == "GET" and path[:1] == ["by_ticket"]:
        ticket = find("tickets", int(path[1]))
        return 200, [it for it in seen["articles"] if it["ticket_id"] == ticket["id"]]
    require(method == "POST" and not path, "no such call", 404)
    require(type(body.get("ticket_id")) is int, "article.ticket_id")
    ticket = find("tickets", body["ticket_id"])
    return 201, add_article(ticket, {name: value for name, value in body.items() if name != "ticket_id"})


def agent(body):
    """An agent writes an article, and the trigger tells of it; `times` more than once where the answer was lost."""
    ticket = find("tickets", body["ticket_id"])
    fields = {"body": body["body"], "content_type": "text/html", "internal": body.get("internal", False)}
    article = add_article(ticket, fields)
    jo = {"id": 5, "firstname": "Jo", "lastname": "B.", "login": "jo@example.com"}
    payload = json.dumps({"ticket": ticket, "article": {**article, "created_by": jo, "attachments": []}}).encode()
    token = body.get("token", os.environ["WEBHOOK_TOKEN"])
    signature = hmac.new(token.encode(), payload, hashlib.sha1).hexdigest()
    headers = {
        "Content-Type": "application/json", "User-Agent": "Zammad User Agent", "X-Zammad-Trigger": "To X",
        "X-Zammad-Delivery": "3c1b", "X-Hub-Signature": f"sha1={signature}",
    }
    for _ in range(body.get("times", 1)):
        try:
            status = urlopen(Request(os.environ["WEBHOOK_URL"], payload, headers), timeout=20).status
        except URLError as error:
            status = getattr(error, "code", 0)
        seen["webhook"].append(status)
    return 201, article


CALLS = {"users": users, "tickets": tickets, "ticket_articles": ticket_articles}


class Stub(BaseHTTPRequestHandler):
    def answer(self):
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length", 0))
        try:
            raw = self.rfile.read(length)
            require(not length or self.headers["Content-Type"].startswith("application/json"), "the content type")
            body = json.loads(raw) if length else None
            if url.path == "/seen":
                status, answer = 200, seen
            elif url.path == "/agent":
                status, answer = agent(body)
            else:
                wanted = f"Token token={os.environ['ZAMMAD_TOKEN']}"
                require(self.headers["Authorization"] == wanted, "the token", 401)
                _, api, version, kind, *path = url.path.split("/")
                require([api, version] == ["api", "v1"] and kind in CALLS, "no such call", 404)
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                status, answer = CALLS[kind](self.command, path, query, body)
        except Refused as refused:
            status, answer = refused.status, {"error": str(refused)}
            seen["faults"].append(f"{self.command} {self.path}: {refused}: {raw.decode()}")
        answer = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = answer


if __name__ == "__main__":
    host, port = sys.argv[1].rsplit(":", 1)
    ThreadingHTTPServer((host, int(port)), Stub).serve_forever()
