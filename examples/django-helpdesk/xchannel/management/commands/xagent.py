from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Makes an agent of the helpdesk, or gives one a new password."

    def add_arguments(self, parser):
        parser.add_argument("username")
        parser.add_argument("password")

    def handle(self, username, password, **options):
        agent, _ = get_user_model().objects.get_or_create(username=username)
        agent.is_staff = agent.is_superuser = True
        agent.set_password(password)
        agent.save()
