"""A Django project with nothing but django-helpdesk and the bridge to twitter-channel, for this machine.

Where you have a helpdesk already, you need of this file: `xchannel` in INSTALLED_APPS, ATOMIC_REQUESTS, the two
AMQP settings, and EMAIL_BACKEND or its like (see xchannel/mail.py).
"""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent

# The queues of twitter-channel; `amqp://user:password@host:5672/%2f`.
AMQP_URL = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2f")
AMQP_INBOX = os.environ.get("AMQP_INBOX", "twitter.tickets")

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DESK_DATABASE", HERE / "desk.sqlite3"),
        # A follow-up and the command that posts it are written together or not at all.
        "ATOMIC_REQUESTS": True,
        # Web server and bridge write to one file: each waits for the other instead of failing.
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode = wal"},
    }
}

# For a machine of your own only: anybody may read this key, and DEBUG shows the code of what fails.
SECRET_KEY = "not a secret: the desk of an example, on one machine"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.sites",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.admin",
    "django.contrib.humanize",
    "rest_framework",
    "helpdesk",
    "xchannel",
]
# Teams need four apps more; queues are enough here.
HELPDESK_TEAMS_MODE_ENABLED = False
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "desk.urls"
SITE_ID = 1
LOGIN_URL = "helpdesk:login"
LOGIN_REDIRECT_URL = "helpdesk:home"
STATIC_URL = "/static/"
MEDIA_URL = "/media/"
MEDIA_ROOT = os.environ.get("DESK_MEDIA", HERE / "media")
EMAIL_BACKEND = "xchannel.mail.NotToX"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"xchannel": {"handlers": ["console"], "level": "INFO"}},
}
