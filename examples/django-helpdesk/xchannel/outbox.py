"""An agent's public follow-up becomes a command in the outbox, in the transaction that writes the follow-up."""

import base64
import mimetypes
import uuid
from pathlib import Path

from django.dispatch import receiver
from helpdesk.decorators import is_helpdesk_staff
from helpdesk.models import FollowUp
from helpdesk.signals import update_ticket_done

from .models import Case, Command


@receiver(update_ticket_done)
def follow_up_written(sender, followup, **kwargs):
    by_agent = followup.user is not None and is_helpdesk_staff(followup.user)
    files = list(followup.followupattachment_set.all())
    if not (by_agent and followup.public and (followup.comment or files)):
        return
    case = Case.objects.filter(ticket=followup.ticket).order_by("-pk").first()
    if case is None:
        return  # A ticket of another channel.
    if not case.reply:
        note = "Nothing can be answered here: no message of this ticket can be replied to."
        FollowUp.objects.create(ticket=followup.ticket, public=False, title="Not sent to X", comment=note)
        return
    Command.objects.create(**command_of(followup, case.reply, files))


def command_of(followup, reply, files):
    """`reply` is the event's own `reply.command`, ready but for id and text."""
    command_id = str(uuid.uuid4())
    kind = "send_post" if "send_post" in reply else "send_direct_message"
    content = {"text": followup.comment or "", "attachments": [attachment(file) for file in files]}
    body = {
        **reply,
        "command_id": command_id,
        "metadata": {"ticket": str(followup.ticket_id), "follow_up": str(followup.pk)},
        "agent": {"id": str(followup.user_id), "name": followup.user.get_full_name() or followup.user.get_username()},
        kind: {**reply[kind], **content},
    }
    return {"id": command_id, "follow_up": followup, "body": body}


def attachment(file):
    name = Path(file.filename).name
    with file.file.open("rb") as content:
        data = base64.b64encode(content.read()).decode()
    return {"data": data, "filename": name, "content_type": file.mime_type or mimetypes.guess_type(name)[0] or ""}
