"""What the bridge remembers, and Zammad's REST API."""

import os
import sqlite3

import requests

STATE = os.environ.get("STATE", "zammad-bridge.sqlite3")
TABLES = """
CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, done INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS people (x TEXT PRIMARY KEY, zammad INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS cases (account TEXT, case_id TEXT, ticket INTEGER NOT NULL, reply TEXT NOT NULL,
  PRIMARY KEY (account, case_id));
CREATE TABLE IF NOT EXISTS commands (id TEXT PRIMARY KEY, ticket INTEGER NOT NULL, body TEXT NOT NULL,
  sent_at REAL NOT NULL DEFAULT 0, heard INTEGER NOT NULL DEFAULT 0);
"""


def state():
    database = sqlite3.connect(STATE, timeout=20, isolation_level=None)
    database.executescript("PRAGMA journal_mode = wal;" + TABLES)
    return database


def zammad(method, path, **arguments):
    headers = {"Authorization": f"Token token={os.environ['ZAMMAD_TOKEN']}"}
    url = f"{os.environ['ZAMMAD_URL']}/api/v1/{path}"
    answer = requests.request(method, url, headers=headers, timeout=20, **arguments)
    answer.raise_for_status()
    return answer.json()


def person(database, author):
    known = database.execute("SELECT zammad FROM people WHERE x = ?", [author["id"]]).fetchone()
    if known:
        return known[0]
    login = f"x-{author['id']}"
    found = zammad("GET", "users/search", params={"query": f"login:{login}", "limit": 10})
    mine = [user["id"] for user in found if user["login"] == login]
    profile = {"login": login, "firstname": author["name"] or login, "lastname": f"(@{author['username']})"}
    profile["web"] = f"https://x.com/i/user/{author['id']}"
    user = mine[0] if mine else zammad("POST", "users", json=profile)["id"]
    database.execute("INSERT OR REPLACE INTO people VALUES (?, ?)", [author["id"], user])
    return user


def article(event, body, **more):
    """`message_id` tells what of an event is in Zammad already, where this program died before it noted so."""
    return {
        "body": body, "content_type": "text/plain", "type": "note", "message_id": f"{event['event']['id']}@x.invalid", **more
    }


def is_there(ticket, event):
    articles = zammad("GET", f"ticket_articles/by_ticket/{ticket}")
    return any(it.get("message_id") == f"{event['event']['id']}@x.invalid" for it in articles)


def note(event, ticket, subject, body, again):
    if not (again and is_there(ticket, event)):
        zammad("POST", "ticket_articles", json=article(event, body, ticket_id=ticket, subject=subject, internal=True))
