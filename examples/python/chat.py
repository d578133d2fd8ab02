#!/usr/bin/env python3
"""A chat room: every line typed is shouted to the group.

Twin of src/bin/chat.rs. Needs: pip install zeromq-pyre; not for Windows, where standard input cannot be polled.
"""
import argparse
import sys
import time

import zmq
from pyre import Pyre, PyreEvent

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("group", help="the room")
parser.add_argument("--name", default="chat-pyre", help="name that other nodes see")
parser.add_argument("--port", type=int, default=5670, help="UDP port of the beacons")
parser.add_argument("--count", type=int, help="end after this many lines from others")
args = parser.parse_args()

node = Pyre(args.name)
try:
    node.set_port(str(args.port).encode())  # bytes: with an int pyre 0.3.4 hangs
    node.join(args.group)
    node.start()
    print(f"You are {args.name} in {args.group}; lines wait until somebody else is here.", flush=True)

    stdin = open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # buffered lines would escape the poll
    here, received, input_open = set(), 0, True
    while input_open if args.count is None else received < args.count:
        poller = zmq.Poller()
        poller.register(node.socket(), zmq.POLLIN)
        if input_open and here:
            poller.register(stdin, zmq.POLLIN)
        ready = dict(poller.poll())
        if stdin.fileno() in ready:
            line = stdin.readline()
            if line:
                node.shout(args.group, line.rstrip(b"\r\n"))
            input_open = bool(line)
        elif node.socket() in ready:
            event = PyreEvent(node)
            if event.type == "SHOUT":
                print(f"{event.peer_name}: {event.msg[0].decode(errors='replace')}", flush=True)
                received += 1
            elif event.type == "JOIN" and event.group == args.group:
                print(f"* {event.peer_name} is here", flush=True)
                here.add(event.peer_uuid)
            elif event.type in ("LEAVE", "EXIT") and event.group in (None, args.group):
                print(f"* {event.peer_name} is gone", flush=True)
                here.discard(event.peer_uuid)
    time.sleep(0.2)  # pyre drops what it has not sent yet when it stops
except KeyboardInterrupt:
    pass
finally:
    node.stop()  # without it the interpreter never ends
