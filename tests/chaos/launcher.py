"""Runs the commands it reads, one after the other, each in a process of its own that has everything at hand already.

A process that is to be killed lives half a second, and would take three times as long to start.  Each is forked from
this one, which has imported all that it needs, and has opened a house in the folder it was given, and closed it again.
"""

import json
import os
import sys
from pathlib import Path

import apscheduler.schedulers.background  # noqa: F401 (imported for the processes to come)

import publisher.web  # noqa: F401
from publisher.app import App, load
from publisher.cli import main

config = Path(sys.argv[1]) / "config.yaml"
config.write_text("version: 1\nsite: {title: House, url: 'https://news.example.org'}\n")
app = App(load(config)).ready()
app.status()
app.close()

for line in sys.stdin:
    child = os.fork()
    if not child:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what we say there is read as what became of it
        sys.argv = ["publisher", *json.loads(line)]
        main()
        break
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
