#!/usr/bin/env python3
"""Zammad behind twitter-channel: events go in by Zammad's REST API, answers come out by a trigger's webhook.

An event and a command are remembered in a file of SQLite: events come at least once, Zammad repeats its webhooks, and
this program may die between any two lines. See README.md for the settings, which are environment variables.
"""

import csv
import json
import logging
import os
import sys
import time
from http.server import ThreadingHTTPServer
from threading import Thread

import pika
import requests
from answers import Webhook
from desk import article, is_there, note, person, state, zammad

log = logging.getLogger("zammad-bridge")
# A command of which nothing was heard for so many seconds goes out again, under its id: that has no second effect.
PATIENCE = 600


# --- events


def hear(database, event, again):
    kind = event["event"]["type"]
    if kind == "message.received":
        message_received(database, event, again)
    elif kind in ("message.edited", "message.deleted"):
        case = event["account"]["id"], event["conversation"]["case_id"]
        known = database.execute("SELECT ticket FROM cases WHERE account = ? AND case_id = ?", case).fetchone()
        if known:
            text = shown(event) if kind == "message.edited" else f"Remove its text here by {event['redact_by']}."
            note(event, known[0], f"{kind} {event['message']['original_id']}", text, again)
    elif kind.startswith("command."):
        command_told(database, event, kind, again)


def message_received(database, event, again):
    account, case_id = event["account"]["id"], event["conversation"]["case_id"]
    author = person(database, event["message"]["author"])
    known = database.execute("SELECT ticket FROM cases WHERE account = ? AND case_id = ?", [account, case_id]).fetchone()
    of_customer = {"internal": False, "sender": "Customer", "origin_by_id": author}
    message = article(event, shown(event), subject=event["message"]["summary"], **of_customer)
    if known:
        ticket = known[0]
        if not (again and is_there(ticket, event)):
            zammad("POST", "ticket_articles", json={**message, "ticket_id": ticket})
        zammad("PUT", f"tickets/{ticket}", json={"state": "open"})
    else:
        begun = []
        if again:
            query = {"query": f"customer_id:{author}", "limit": 50}
            begun = [it for it in zammad("GET", "tickets/search", params=query)["tickets"] if is_there(it, event)]
        group = event["route"]["group"] or os.environ.get("ZAMMAD_GROUP", "Users")
        new = {"title": event["message"]["summary"], "group": group, "customer_id": author, "article": message}
        ticket = begun[0] if begun else zammad("POST", "tickets", json=new)["id"]
    reply = json.dumps(event["reply"].get("command") or {})
    database.execute("INSERT OR REPLACE INTO cases VALUES (?, ?, ?, ?)", [account, case_id, ticket, reply])


def command_told(database, event, kind, again):
    command = database.execute("SELECT ticket FROM commands WHERE id = ?", [event["command_id"]]).fetchone()
    if command is None:
        return  # Another program's.
    links = [message["url"] for message in event.get("messages", [])]
    if kind == "command.succeeded":
        subject, lines = "Posted at X", links
    elif kind == "command.deferred":
        subject, lines = f"Not yet at X: {event['code']}", [event["detail"]]
    else:
        subject, lines = f"Not posted at X: {event['code']}", [event["advice"], event["detail"], *links]
    note(event, command[0], subject, "\n".join(lines), again)
    if kind == "command.failed":
        zammad("PUT", f"tickets/{command[0]}", json={"state": "open"})
    database.execute("UPDATE commands SET heard = 1 WHERE id = ?", [event["command_id"]])


def shown(event):
    message = event["message"]
    return "\n\n".join([message["text"] or message["summary"], *(it["url"] for it in message["attachments"]), message["url"]])


def on_event(database, channel, delivery, body):
    try:
        event = json.loads(body)
        event_id = event["event"]["id"]
    except (ValueError, KeyError, TypeError):
        channel.basic_reject(delivery.delivery_tag, requeue=False)  # To twitter.tickets.dead.
        return
    begun = database.execute("SELECT done FROM events WHERE id = ?", [event_id]).fetchone()
    if not begun or not begun[0]:
        database.execute("INSERT OR IGNORE INTO events VALUES (?, 0)", [event_id])
        # What fails here (a Zammad that is away) breaks the connection: the event is not lost, it comes again.
        hear(database, event, again=begun is not None)
        database.execute("UPDATE events SET done = 1 WHERE id = ?", [event_id])
    channel.basic_ack(delivery.delivery_tag)


def send_commands(database, channel):
    waiting = "SELECT id, body FROM commands WHERE NOT heard AND sent_at < ? ORDER BY rowid"
    for command_id, body in database.execute(waiting, [time.time() - PATIENCE]).fetchall():
        properties = pika.BasicProperties(content_type="application/json", delivery_mode=2, message_id=command_id)
        # Returns when the broker has it, raises when it has not.
        channel.basic_publish("twitter.commands", "twitter.commands", body, properties, mandatory=True)
        database.execute("UPDATE commands SET sent_at = ? WHERE id = ?", [time.time(), command_id])


def run(database):
    parameters = pika.URLParameters(os.environ["AMQP_URL"])
    parameters.client_properties = {"connection_name": "zammad"}
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_qos(prefetch_count=20)
        inbox = os.environ.get("AMQP_INBOX", "twitter.tickets")
        channel.basic_consume(inbox, lambda channel, delivery, _, body: on_event(database, channel, delivery, body))
        log.info("the bridge reads %s", inbox)
        while True:
            connection.process_data_events(time_limit=0.5)
            send_commands(database, channel)


def adopt(database, file):
    """Tickets of Zammad's old channel go on: the file that `twitter-channel threads import` reads, accounts as ids."""
    with open(file, newline="", encoding="utf-8-sig") as lines:
        # The newest message is the one to answer.
        for row in reversed(list(csv.DictReader(lines))):
            own = row["post"] and row["author"] == row["account"]
            if row["customer"] and not own:
                reply = {"account_id": row["account"], "send_post": {"in_reply_to": row["post"]}}
                if not row["post"]:
                    target = {"conversation_id": row["conversation"]}
                    reply = {"account_id": row["account"], "send_direct_message": target}
                case_id = f"{row['conversation']}:{row['customer']}"
                case = [row["account"], case_id, int(row["ticket"]), json.dumps(reply)]
                database.execute("INSERT OR IGNORE INTO cases VALUES (?, ?, ?, ?)", case)


def main():
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("pika").setLevel(logging.WARNING)
    database = state()
    if sys.argv[1:2] == ["adopt"]:
        adopt(database, sys.argv[2])
        return
    host, port = os.environ.get("LISTEN", "127.0.0.1:9292").rsplit(":", 1)
    Thread(target=ThreadingHTTPServer((host, int(port)), Webhook).serve_forever, daemon=True).start()
    while True:
        try:
            run(database)
        except (pika.exceptions.AMQPError, requests.RequestException, OSError) as error:
            log.warning("the bridge begins again in a second: %s: %s", type(error).__name__, error)
            time.sleep(1)


if __name__ == "__main__":
    main()
