"""Logs in for the tests by Schemathesis, again after each request that ended the session, revoked the API key or erased the account."""

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


def call(method, url, token=None, body=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    response = requests.request(method, url, headers=headers, json=body, timeout=60)
    response.raise_for_status()
    return response.json()


def new_session(url, email, is_customer=False):
    """Creates the account of a customer by a request, that of an administrator by the command, and logs in."""
    if is_customer:
        call("POST", f"{url}/v1/users", body={"email": email, "password": PASSWORD, "name": "Ann"})
    else:
        command = [os.environ["UNDERCROFT"], "admin", "create", "--email", email, "--password-stdin"]
        subprocess.run(command, input=PASSWORD, text=True, check=True, stdout=subprocess.DEVNULL)
    return log_in(url, email)


def log_in(url, email):
    return call("POST", f"{url}/v1/sessions", body={"email": email, "password": PASSWORD})["token"]


def new_token(url):
    """What proves a new principal of the kind: the token of a session, or an API key."""
    number = next(numbers)
    email = f"user-{number}@example.com"
    session = new_session(url, email, is_customer=PRINCIPAL == "customer")
    if PRINCIPAL in ("customer", "administrator"):
        return session

    # every second permission, so that some operations are allowed and others are not
    permissions = [it["name"] for it in call("GET", f"{url}/admin/v1/permissions", session)["items"]][::2]
    if PRINCIPAL == "api_key":
        # what these allow requires a session
        scopes = [it for it in permissions if not it.startswith("api-keys:") and it != "roles:write"]
        key = {"name": "Tests", "scopes": scopes, "current_password": PASSWORD}
        return call("POST", f"{url}/v1/me/api-keys", session, key)["key"]
    role = f"tests-{number}"
    call("POST", f"{url}/admin/v1/roles", session, {"name": role, "permissions": permissions})
    member = f"staff-{number}@example.com"
    user = call("GET", f"{url}/v1/me", new_session(url, member))["id"]
    call("PATCH", f"{url}/admin/v1/users/{user}", session, {"staff_role": role})
    # the change has ended the session
    return log_in(url, member)


if PRINCIPAL != "guest":

    @schemathesis.auth(refresh_interval=None)
    class Credential:
        """The session or the API key of the tests."""

        def get(self, case, context):
            global token
            with lock:
                if token is None:
                    token = new_token(case.operation.base_url.rstrip("/"))
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
