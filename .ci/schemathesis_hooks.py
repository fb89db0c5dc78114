"""Logs in for the tests by Schemathesis, again after each request that ended the session or erased the account."""

import itertools
import os
import subprocess
import threading

import requests
import schemathesis

PRINCIPAL = os.environ["PRINCIPAL"]
PASSWORD = "a long password of the tests 7"

lock = threading.Lock()
numbers = itertools.count()
token = None


def create(url, email):
    """Creates the account of a customer by a request, that of an administrator by the command."""
    if PRINCIPAL == "customer":
        body = {"email": email, "password": PASSWORD, "name": "Ann"}
        requests.post(f"{url}/v1/users", json=body, timeout=60).raise_for_status()
    else:
        command = [os.environ["UNDERCROFT"], "admin", "create", "--email", email, "--password-stdin"]
        subprocess.run(command, input=PASSWORD, text=True, check=True, stdout=subprocess.DEVNULL)


def new_session(url):
    email = f"user-{next(numbers)}@example.com"
    create(url, email)
    credentials = {"email": email, "password": PASSWORD}
    response = requests.post(f"{url}/v1/sessions", json=credentials, timeout=60)
    response.raise_for_status()
    return response.json()["token"]


if PRINCIPAL != "guest":

    @schemathesis.auth(refresh_interval=None)
    class Session:
        """The session of the tests."""

        def get(self, case, context):
            global token
            with lock:
                if token is None:
                    token = new_session(case.operation.base_url.rstrip("/"))
                return token

        def set(self, case, data, context):
            case.headers = case.headers or {}
            case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def after_call(context, case, response):
    """Forgets a token that is not valid any more."""
    global token
    sent = (case.headers or {}).get("Authorization")
    with lock:
        if token is not None and response.status_code == 401 and sent == f"Bearer {token}":
            token = None
