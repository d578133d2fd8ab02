#!/usr/bin/env python3
"""A sensor: says what it measures in its headers and shouts its readings as JSON, once somebody listens.

Twin of src/bin/shout_json.rs; recv_group listens to it. Needs: pip install zeromq-pyre
"""
import argparse
import itertools
import json
import time

from pyre import Pyre

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("group", nargs="?", default="sensors", help="the group")
parser.add_argument("--name", default="sensor-pyre", help="name that other nodes see")
parser.add_argument("--port", type=int, default=5670, help="UDP port of the beacons")
parser.add_argument("--count", type=int, help="end after this many readings")
parser.add_argument("--every-ms", type=int, default=1000, help="milliseconds between two readings")
args = parser.parse_args()

node = Pyre(args.name)
try:
    node.set_port(str(args.port).encode())  # bytes: with an int pyre 0.3.4 hangs
    node.set_header("X-SENSOR", "temperature")
    node.set_header("X-UNIT", "celsius")
    node.start()

    listeners = set()
    for n in itertools.count(1):
        if args.count is not None and n > args.count:
            break
        while True:  # events must be read all the time: a full pipe stops pyre's node
            for event in node.recent_events():
                if event.type == "JOIN" and event.group == args.group:
                    listeners.add(event.peer_uuid)
                elif event.type in ("LEAVE", "EXIT") and event.group in (None, args.group):
                    listeners.discard(event.peer_uuid)
            if listeners:
                break
            node.socket().poll()
        reading = json.dumps({"n": n, "value": 20.0 + n % 10 / 2})
        node.shout(args.group, reading.encode())
        print(f"{reading} to {len(listeners)}", flush=True)
        time.sleep(args.every_ms / 1000)
    time.sleep(0.2)  # pyre drops what it has not sent yet when it stops
except KeyboardInterrupt:
    pass
finally:
    node.stop()  # without it the interpreter never ends
