"""Events of twitter-channel become tickets and follow-ups; commands of the outbox go to twitter-channel.

Everything that an event changes is one transaction, its id among it: an event that comes again changes nothing, and
a process that dies in between finds it in the queue again.
"""

import json
import logging
import re
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.text import slugify
from helpdesk.models import FollowUp, Queue, Ticket
from pika import BasicProperties, BlockingConnection, URLParameters

from .models import Case, Command, Event

log = logging.getLogger(__name__)
# A command of which nothing was heard goes out again, under its id: that has no second effect.
PATIENCE = timedelta(minutes=10)


class Bridge:
    def __init__(self, url, inbox):
        self.url, self.inbox = url, inbox

    def run(self):
        """One connection; returns when it breaks."""
        parameters = URLParameters(self.url)
        parameters.client_properties = {"connection_name": "django-helpdesk"}
        connection = BlockingConnection(parameters)
        try:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_qos(prefetch_count=50)
            channel.basic_consume(self.inbox, self.on_event)
            log.info("the bridge reads %s", self.inbox)
            while True:
                connection.process_data_events(time_limit=0.5)
                send_commands(channel)
        finally:
            if connection.is_open:
                connection.close()

    def on_event(self, channel, delivery, properties, body):
        try:
            event = json.loads(body)
            event_id = event["event"]["id"]
        except (ValueError, KeyError, TypeError):
            log.error("no event: %.200r", body)
            channel.basic_reject(delivery.delivery_tag, requeue=False)  # To twitter.tickets.dead.
            return
        # What fails here (a database that is away) breaks the connection: the event is not lost, it comes again.
        with transaction.atomic():
            if Event.objects.get_or_create(id=event_id)[1]:
                hear(event)
        channel.basic_ack(delivery.delivery_tag)


def send_commands(channel):
    overdue = Q(sent_at=None) | Q(sent_at__lt=timezone.now() - PATIENCE)
    for command in Command.objects.filter(overdue, heard=False).order_by("follow_up_id"):
        properties = BasicProperties(content_type="application/json", delivery_mode=2, message_id=command.id)
        body = json.dumps(command.body)
        # Returns when the broker has it, raises when it has not.
        channel.basic_publish("twitter.commands", "twitter.commands", body, properties, mandatory=True)
        Command.objects.filter(pk=command.pk).update(sent_at=timezone.now())


def hear(event):
    kind = event["event"]["type"]
    if kind == "message.received":
        message_received(event)
    elif kind == "message.sent" and not event["command_id"] and (case := case_of(event)):
        title = f"@{event['message']['author']['username']} answered at X, not from here"
        follow_up(case.ticket, title, shown(event), event["message"], public=False)
    elif kind == "message.edited" and (case := case_of(event)):
        follow_up(case.ticket, "Edited at X", shown(event), event["message"], public=True)
    elif kind == "message.deleted":
        message_deleted(event)
    elif kind == "conversation.merged":
        conversation_merged(event)
    elif kind.startswith("command."):
        command_told(event, kind)


def message_received(event):
    message, author = event["message"], event["message"]["author"]
    case = case_of(event) or new_case(event)
    title = f"{author['name'] or author['username']} (@{author['username']}) wrote at X"
    follow_up(case.ticket, title, shown(event), message, public=True)
    case.reply = event["reply"].get("command") or {}
    case.save()
    if case.ticket.status not in Ticket.OPEN_STATUSES:
        case.ticket.status = Ticket.REOPENED_STATUS
        case.ticket.save()


def message_deleted(event):
    """What is deleted at X must go here too, text and title."""
    for old in FollowUp.objects.filter(message_id=f"{event['message']['original_id']}@x.invalid"):
        old.title, old.comment = "Deleted at X", f"Its text was removed here: {event['reason']}."
        old.save()
        if old.ticket.followup_set.order_by("pk").first() == old:
            old.ticket.title = "Deleted at X"
            old.ticket.save()


def conversation_merged(event):
    """Cases of the merged conversations go on under the survivor's id; where that has a ticket too, both stay."""
    account, survivor = event["account"]["id"], event["conversation"]["id"]
    for case in Case.objects.filter(account=account, conversation__in=event["merged"]):
        case_id = survivor + case.case_id.removeprefix(case.conversation)
        first = {"conversation": survivor, "ticket": case.ticket, "reply": case.reply}
        Case.objects.get_or_create(account=account, case_id=case_id, defaults=first)


def command_told(event, kind):
    command = Command.objects.filter(id=event["command_id"]).select_related("follow_up__ticket").first()
    if command is None:
        return  # Another program's.
    Command.objects.filter(pk=command.pk).update(heard=True)
    links = "\n".join(f"<{message['url']}>" for message in event.get("messages", []))
    if kind == "command.succeeded":
        title, comment = "Posted at X", links
    elif kind == "command.deferred":
        title, comment = f"Not yet at X: {event['code']}", plain(event["detail"])
    else:
        title = f"Not posted at X: {event['code']}"
        comment = f"**{plain(event['advice'])}**\n\n{plain(event['detail'])}\n{links}"
    ticket = command.follow_up.ticket
    FollowUp.objects.create(ticket=ticket, title=title, comment=comment, public=False)
    if kind == "command.failed" and ticket.status not in Ticket.OPEN_STATUSES:
        ticket.status = Ticket.REOPENED_STATUS
        ticket.save()


def case_of(event):
    conversation = event["conversation"]
    return Case.objects.filter(account=event["account"]["id"], case_id=conversation["case_id"]).first()


def new_case(event):
    conversation, message, author = event["conversation"], event["message"], event["message"]["author"]
    customer = conversation.get("customer") or author
    group = event["route"]["group"] or "x"
    queue = Queue.objects.get_or_create(slug=slugify(group)[:50] or "x", defaults={"title": group[:100]})[0]
    related = Case.objects.filter(account=event["account"]["id"], conversation__in=conversation["related"])
    tickets = sorted({f"#{case.ticket_id}" for case in related if case.case_id.endswith(f":{customer['id']}")})
    about = [f"[@{author['username']}](https://x.com/i/user/{author['id']}) to @{event['account']['username']} at X"]
    about += [f"[the conversation]({message['url']})"] if message["url"] else []
    about += ["other tickets of this customer: " + ", ".join(tickets)] if tickets else []
    ticket = Ticket.objects.create(
        queue=queue,
        title=message["summary"],
        submitter_email=f"{customer['id']}@x.invalid",
        description=" · ".join(about),
    )
    return Case(
        account=event["account"]["id"], conversation=conversation["id"], case_id=conversation["case_id"], ticket=ticket
    )


def follow_up(ticket, title, comment, message, public):
    FollowUp.objects.create(
        ticket=ticket,
        title=title[:200],
        comment=comment,
        public=public,
        date=parse_datetime(message["created_at"]) or timezone.now(),
        # Shows it as the submitter's, and finds it again.
        message_id=f"{message['original_id']}@x.invalid",
    )


def shown(event):
    message = event["message"]
    parts = [plain(message["text"] or message["summary"])]
    parts += [f"{file['kind'].capitalize()}: <{file['url']}>" for file in message["attachments"]]
    parts += [f"[See it at X]({message['url']})"] if message["url"] else []
    if event.get("reply", {}).get("permission") == "REFUSED":
        parts.append(f"**X allows no answer to this: {event['reply']['reason']}**")
    return "\n\n".join(parts)


def plain(text):
    """Text of a stranger, so that django-helpdesk's Markdown shows it as it is and links are links."""
    text = re.sub(r"(?m)^[ \t]+", "", text).replace("&", "&amp;").replace("~", "&#126;")
    return re.sub(r"(https?://[^\s<>]+)|([\\`*_{}\[\]()#+.!>-])", lambda m: f"<{m[1]}>" if m[1] else "\\" + m[2], text)
