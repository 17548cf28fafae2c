from django.apps import AppConfig


class XChannelConfig(AppConfig):
    name = "xchannel"
    verbose_name = "X"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self):
        from . import outbox  # noqa: F401  (listens to django-helpdesk's signals)
