"""A store in a folder for tests by other programs, of the program that the environment variable UNDERCROFT names."""

import os
import subprocess

ADMINISTRATOR = {"email": "a@example.com", "password": "a long password of the tests 7"}


def create_administrator(folder):
    """Creates the account of ADMINISTRATOR, in a new store if there is none."""
    command = [program(), "admin", "create", "--email", ADMINISTRATOR["email"], "--password-stdin"]
    subprocess.run(command, cwd=folder, input=ADMINISTRATOR["password"], text=True, check=True, stdout=subprocess.DEVNULL)


def serve(folder, settings, *arguments):
    """Starts a server with settings, by their names without the prefix; returns its process and its URL."""
    environment = {**os.environ, **{f"UNDERCROFT_{name}": value for name, value in settings.items()}}
    command = [program(), "serve", "--listen", "127.0.0.1:0", *arguments]
    server = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return server, server.stdout.readline().split()[-1]


def program():
    return os.path.abspath(os.environ["UNDERCROFT"])
