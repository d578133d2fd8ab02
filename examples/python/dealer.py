#!/usr/bin/env python3
"""Deals JSON requests round-robin to the peers of a group and counts their answers.

Twin of src/bin/dealer.rs. What a worker leaves unanswered when it dies goes to another one, so a request may be
worked on twice (pyre notices a killed process after 30 s only). Needs: pip install zeromq-pyre
"""
import argparse
import json
import sys
from collections import deque

from pyre import Pyre

MAX_OPEN = 100  # requests out at one time; more would only queue up in the workers, and be lost with them

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("group", nargs="?", default="pool/calc", help="the group the workers are in")
parser.add_argument("--name", default="dealer-pyre", help="name that other nodes see")
parser.add_argument("--port", type=int, default=5670, help="UDP port of the beacons")
parser.add_argument("--count", type=int, default=100, help="requests to send")
parser.add_argument("--workers", type=int, default=1, help="wait for this many workers before the first request")
args = parser.parse_args()

node = Pyre(args.name)
waiting = deque(range(1, args.count + 1))
with_whom = {}  # request -> worker
turns = deque()  # whose turn it is stands in front
answers = {}  # worker -> [name, count]


def is_result(message, worker):
    """Whether this is an answer the worker was asked for; then it is no longer open."""
    try:
        response = json.loads(message)
        number, result = int(response["id"]), response["result"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    if with_whom.get(number) != worker or result != 2 * number:
        return False
    del with_whom[number]
    return True


try:
    node.set_port(str(args.port).encode())  # bytes: with an int pyre 0.3.4 hangs
    node.start()
    wait_for = args.workers
    while waiting or with_whom:
        while waiting and turns and len(turns) >= wait_for and len(with_whom) < MAX_OPEN:
            wait_for, number = 0, waiting.popleft()
            with_whom[number] = turns[0]
            request = {"jsonrpc": "2.0", "id": str(number), "method": "calc.add", "params": {"a": number, "b": number}}
            node.whisper(turns[0], json.dumps(request).encode())
            turns.rotate(-1)
        event = next(node.events())
        worker = event.peer_uuid
        if event.type == "JOIN" and event.group == args.group and worker not in turns:
            print(f"{event.peer_name} works in {event.group}", flush=True)
            turns.append(worker)
            answers.setdefault(worker, [event.peer_name, 0])
        elif event.type in ("LEAVE", "EXIT") and event.group in (None, args.group) and worker in turns:
            turns.remove(worker)
            left = [number for number, who in with_whom.items() if who == worker]
            for number in reversed(left):
                del with_whom[number]
                waiting.appendleft(number)
            print(f"{event.peer_name} has left, {len(left)} requests to others", flush=True)
        elif event.type == "WHISPER" and is_result(event.msg[0], worker):
            answers[worker][1] += 1
except KeyboardInterrupt:
    pass
finally:
    done = args.count - len(waiting) - len(with_whom)
    each = ", ".join(f"{name} {count}" for name, count in sorted(answers.values()))
    print(f"{args.count} requests, {done} answers: {each}", flush=True)
    node.stop()  # without it the interpreter never ends
sys.exit(done != args.count)
