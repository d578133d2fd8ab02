#!/usr/bin/env python3
"""Meets others: enters, joins a group, greets whoever is in it and whispers back to whoever greets.

Twin of src/bin/hello.rs. Needs: pip install zeromq-pyre
"""
import argparse
import time

from pyre import Pyre

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--name", default="hello-pyre", help="name that other nodes see")
parser.add_argument("--port", type=int, default=5670, help="UDP port of the beacons")
parser.add_argument("--count", type=int, help="end after this many peers were greeted and greeted back")
args = parser.parse_args()

node = Pyre(args.name)
try:
    node.set_port(str(args.port).encode())  # bytes: with an int pyre 0.3.4 hangs
    node.start()
    node.join("hello")
    print(f"I am {args.name} at {node.endpoint()}", flush=True)

    thanked = thanks = 0
    while args.count is None or thanked < args.count or thanks < args.count:
        event = next(node.events())
        if event.type == "ENTER":
            print(f"{event.peer_name} enters at {event.peer_addr}", flush=True)
        elif event.type == "JOIN" and event.group == "hello":
            node.whisper(event.peer_uuid, f"Hello {event.peer_name}!".encode())
        elif event.type == "WHISPER":
            text = event.msg[0].decode(errors="replace")
            print(f"{event.peer_name} whispers: {text}", flush=True)
            if text.startswith("Hello"):
                node.whisper(event.peer_uuid, f"Nice to meet you, {event.peer_name}.".encode())
                thanked += 1
            else:
                thanks += 1
        elif event.type == "EXIT":
            print(f"{event.peer_name} has left", flush=True)
    time.sleep(0.2)  # pyre drops what it has not sent yet when it stops
except KeyboardInterrupt:
    pass
finally:
    node.stop()  # without it the interpreter never ends
