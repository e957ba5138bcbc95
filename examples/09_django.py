"""In Django, as a view, in one file: `python examples/09_django.py runserver 3000`. (Your `urlpatterns` get a line.)"""

import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.urls import path

from offhook import Assistant, SessionStart, UserSpeak

assistant = Assistant(token=os.environ.get("AI_FLOW_SHARED_SECRET"))


@assistant.on_session_start
def greet(event: SessionStart) -> str:
    return "Hello. What can I do for you?"


@assistant.on_user_speak
def answer(event: UserSpeak) -> str:
    return f"You said: {event.text}"


if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY=os.urandom(16).hex())
urlpatterns = [path("webhook", assistant.django())]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
