"""What the bridge has to remember beside django-helpdesk's own tables."""

from django.db import models
from helpdesk.models import FollowUp, Ticket


class Event(models.Model):
    """An event that was dealt with: events come at least once, under the same id."""

    id = models.CharField(primary_key=True, max_length=32)


class Case(models.Model):
    """A customer's part of a conversation at X, and its ticket."""

    account = models.CharField(max_length=19)
    conversation = models.CharField(max_length=64)
    case_id = models.CharField(max_length=96)
    ticket = models.ForeignKey(Ticket, on_delete=models.CASCADE)
    # The command that answers the newest message; an answer adds an id and its text.
    reply = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "case_id"], name="one_ticket_for_each_case")]


class Command(models.Model):
    """A command for twitter-channel, written together with the follow-up that it posts: the outbox."""

    id = models.CharField(primary_key=True, max_length=36)
    follow_up = models.OneToOneField(FollowUp, on_delete=models.CASCADE)
    body = models.JSONField()
    # When the broker last confirmed it.
    sent_at = models.DateTimeField(null=True)
    # An outcome came, or word that it waits.
    heard = models.BooleanField(default=False)
