import time

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, close_old_connections
from pika.exceptions import AMQPError

from xchannel.bridge import Bridge, log


class Command(BaseCommand):
    help = "Carries messages and outcomes of X into tickets, and answers to X, until it is ended."

    def handle(self, **options):
        bridge = Bridge(settings.AMQP_URL, settings.AMQP_INBOX)
        while True:
            try:
                bridge.run()
            except (AMQPError, DatabaseError, OSError) as error:
                log.warning("the bridge begins again in a second: %s: %s", type(error).__name__, error)
            close_old_connections()
            time.sleep(1)
