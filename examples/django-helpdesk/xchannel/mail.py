from django.core.mail.backends.smtp import EmailBackend


class NotToX(EmailBackend):
    """Sends mail, but for customers at X: they have no address, and hear of public follow-ups at X."""

    def send_messages(self, email_messages):
        for message in email_messages:
            for field in ("to", "cc", "bcc"):
                setattr(message, field, [to for to in getattr(message, field) if not to.endswith("@x.invalid")])
        return super().send_messages([message for message in email_messages if message.recipients()])
