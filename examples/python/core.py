#!/usr/bin/env python3
"""A helpdesk core in one file: makes tickets of what customers write at X, and answers the first message of each.

Tickets live in memory here. What a real core keeps in its database is named where it comes up.
"""

import json
import os
import signal
import sys
import time

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2f")
EVENTS, COMMANDS = "twitter.events", "twitter.commands"
# Messages have a queue of their own, so that a thousand posts do not make them wait. Every event fits exactly one.
MESSAGES, POSTS = "example.python.messages", "example.python.posts"
BINDINGS = {
    MESSAGES: ["*.*.direct_message.*", "*.*.encrypted_message.*", "command.#", "account.#"],
    POSTS: ["*.*.post.*"],
}
# Unacknowledged at a time: a message waits for one post at most.
PREFETCH = {MESSAGES: 20, POSTS: 1}
SILENCE = 600  # seconds without outcome or `command.deferred` until a command is sent again

seen = set()  # ids of events that are done: a unique index on event.id in a database
tickets = {}  # (account id, case id) -> ticket
waiting = {}  # command id -> (command, when to send it again): a column of the answer in a database


def say(*words):
    print(*words, flush=True)


def declare(channel):
    """Quorum queues that lose nothing, each with a place for what could not be worked on."""
    for queue, patterns in BINDINGS.items():
        dead = queue + ".dead"
        channel.exchange_declare(dead, "fanout", durable=True)
        channel.queue_declare(dead, durable=True, arguments={"x-queue-type": "quorum"})
        channel.queue_bind(dead, dead)
        channel.queue_declare(queue, durable=True, arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": 20,
            "x-dead-letter-exchange": dead,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        })
        for pattern in patterns:
            channel.queue_bind(queue, EVENTS, pattern)


def send(channel, command):
    """Returns once the broker has the command on disk, or raises. Sent twice, it is carried out once."""
    properties = pika.BasicProperties(
        message_id=command["command_id"], content_type="application/json", delivery_mode=2)
    channel.basic_publish(COMMANDS, COMMANDS, json.dumps(command), properties, mandatory=True)
    waiting[command["command_id"]] = (command, time.monotonic() + SILENCE)


def message_received(channel, event):
    key = event["account"]["id"], event["conversation"]["case_id"]
    message = event["message"]
    ticket = tickets.get(key)
    if ticket:
        ticket["messages"][message["original_id"]] = message["text"]
        say(f"ticket {ticket['number']}: @{message['author']['username']} adds: {message['summary']}")
        return
    # The number waits for the command, so that a failure on the way leaves no half a ticket.
    number = len(tickets) + 1
    if may_answer(event):
        send(channel, answer(event, number))
    tickets[key] = {"number": number, "messages": {message["original_id"]: message["text"]}}
    say(f"ticket {number}: @{message['author']['username']} writes: {message['summary']}")


def may_answer(event):
    """No automatic answers to tests, to what is old, or where X would refuse them."""
    reply, about = event["reply"], event["event"]
    return "command" in reply and reply["permission"] != "REFUSED" and not about["test"] and not about["backfilled"]


def answer(event, number):
    """The event's own command with an id and a text. The id follows from the event: a repeat makes the same command."""
    command = event["reply"]["command"]
    command["command_id"] = "answer-" + event["event"]["id"]
    command["metadata"] = {"ticket": str(number)}
    action = command.get("send_post") or command["send_direct_message"]
    action["text"] = f"Thank you! We are looking into it. (Ticket {number})"
    return command


def message_edited(_channel, event):
    change(event, event["message"]["text"], "edited")


def message_deleted(_channel, event):
    """X's rules want the text out of the helpdesk within a day."""
    change(event, "[deleted]", "deleted")


def change(event, text, what):
    ticket = tickets.get((event["account"]["id"], event["conversation"]["case_id"]))
    if ticket:
        ticket["messages"][event["message"]["original_id"]] = text
        say(f"ticket {ticket['number']}: a message was {what}")


def message_sent(_channel, event):
    """Our own words, also those that somebody wrote at X itself."""
    change(event, event["message"]["text"], "sent")


def command_succeeded(_channel, event):
    waiting.pop(event["command_id"], None)
    links = " ".join(message["url"] for message in event["messages"])
    say(f"ticket {event['metadata'].get('ticket', '-')}: answered, {event['cost_usd']} USD: {links}")


def command_failed(_channel, event):
    waiting.pop(event["command_id"], None)
    say(f"ticket {event['metadata'].get('ticket', '-')}: not answered: {event['code']}: {event['advice']}")


def command_deferred(_channel, event):
    waiting.pop(event["command_id"], None)
    say(f"{event['command_id']} waits: {event['code']}: {event['detail']}")


HANDLERS = {
    "message.received": message_received,
    "message.edited": message_edited,
    "message.deleted": message_deleted,
    "message.sent": message_sent,
    "command.succeeded": command_succeeded,
    "command.failed": command_failed,
    "command.deferred": command_deferred,
}


def on_event(channel, method, _properties, body):
    """Acknowledges once the work is done: what fails with the connection comes again."""
    try:
        event = json.loads(body)
        event_id, handler = event["event"]["id"], HANDLERS.get(event["event"]["type"])
        if handler and event_id not in seen:  # types of later versions are passed over
            handler(channel, event)
        seen.add(event_id)  # in a database: in one transaction with the work
    except (ValueError, KeyError, TypeError) as error:
        say(f"to the dead letters: {error!r}")
        channel.basic_reject(method.delivery_tag, requeue=False)
        return
    channel.basic_ack(method.delivery_tag)


def work():
    """Until the connection ends."""
    connection = pika.BlockingConnection(pika.URLParameters(URL))
    channel = connection.channel()
    channel.confirm_delivery()
    declare(channel)
    for queue in BINDINGS:
        channel.basic_qos(prefetch_count=PREFETCH[queue])  # for the consumer that follows
        channel.basic_consume(queue, on_event)
    say("ready")
    while True:
        connection.process_data_events(time_limit=10)
        for command, due in list(waiting.values()):
            if due < time.monotonic():
                send(channel, command)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    pause = 1
    while True:
        started = time.monotonic()
        try:
            work()
        except (pika.exceptions.AMQPError, OSError) as error:
            say(f"connection lost: {error!r}")
        # Longer each time while the broker is away.
        pause = 1 if time.monotonic() - started > 60 else min(pause * 2, 30)
        time.sleep(pause)


if __name__ == "__main__":
    main()
