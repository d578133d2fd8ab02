#!/usr/bin/env python3
"""Listens to a group: reads a sender's headers when it enters, and its JSON when it shouts.

Twin of src/bin/recv_group.rs. Needs: pip install zeromq-pyre
"""
import argparse
import json
import sys

from pyre import Pyre

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("group", nargs="?", default="sensors", help="the group")
parser.add_argument("--name", default="listener-pyre", help="name that other nodes see")
parser.add_argument("--port", type=int, default=5670, help="UDP port of the beacons")
parser.add_argument("--count", type=int, help="end after this many readings")
args = parser.parse_args()

node = Pyre(args.name)
try:
    node.set_port(str(args.port).encode())  # bytes: with an int pyre 0.3.4 hangs
    node.join(args.group)
    node.start()
    print(f"{args.name} listens to {args.group}", flush=True)

    units, received = {}, 0
    while args.count is None or received < args.count:
        event = next(node.events())
        if event.type == "ENTER":
            unit = units[event.peer_uuid] = event.header("X-UNIT") or "no unit"
            print(f"{event.peer_name} enters, X-UNIT: {unit}", flush=True)
        elif event.type == "SHOUT":
            try:
                reading = json.loads(event.msg[0])
            except (ValueError, RecursionError) as error:
                print(f"{event.peer_name} shouts what is not JSON: {error}", file=sys.stderr, flush=True)
                continue
            print(f"{event.peer_name} [{units.get(event.peer_uuid)}] {json.dumps(reading)}", flush=True)
            received += 1
        elif event.type == "EXIT":
            print(f"{event.peer_name} has left", flush=True)
            units.pop(event.peer_uuid, None)
except KeyboardInterrupt:
    pass
finally:
    node.stop()  # without it the interpreter never ends
