"""pyre's part in the benchmarks: one side of one workload.

The job is JSON in the first argument. Reports are JSON lines on stdout, as in session.rs:
{"ready": ""}, {"result": {...}}, {"usage": {...}}, {"error": "..."}. The process ends when stdin does.
"""

import json
import os
import struct
import sys
import threading
import time
import uuid

from pyre import Pyre

WINDOW = 64
# pyre drops a peer whose queue is full, so a one-way sender waits for a receipt before the queue can fill.
RECEIPT_EVERY = 500
MOST_UNDER_WAY = 4000
STARTED = "X-STARTED"

job = json.loads(sys.argv[1])
kind = job["workload"]
name, size = (kind, 0) if isinstance(kind, str) else next((k, v["size"]) for k, v in kind.items())
count, warmup = job["count"], job["warmup"]
total = count + warmup
ring = max(4, min(256, (256 << 10) // max(size, 1)))
cpu = {}


def report(line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def measure():
    cpu.setdefault("start", time.process_time())


def result(numbers):
    cpu["end"] = time.process_time()
    report({"result": numbers})
    hold()


def hold():
    threading.Event().wait()


def end_with_stdin():
    sys.stdin.read()
    end = cpu.get("end", time.process_time())
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    report({"usage": {"cpu": end - cpu.get("start", end), "peak_rss_kib": peak}})
    os._exit(0)


def percentiles(times):
    times = sorted(times)

    def at(share):
        return times[round((len(times) - 1) * share)] * 1e6

    return {"p50_us": at(0.5), "p99_us": at(0.99), "max_us": at(1.0), "seconds": sum(times)}


def payload(number):
    return struct.pack("<I", number % ring) + b"\x5a" * (max(size, 4) - 4)


def check(message, number):
    if len(message) != max(size, 4) or message[:4] != struct.pack("<I", number % ring):
        raise ValueError(f"message {number} is out of order or damaged: {message[:16]!r}")


def start(own_name, headers=()):
    node = Pyre(own_name)
    for key, value in headers:
        node.set_header(key, value)
    node.start()
    return node


def whispers(node):
    """Whispered contents with their senders, for ever."""
    while True:
        event = node.recv()
        if event[0] == b"WHISPER":
            yield uuid.UUID(bytes=event[1]), event[3]
        elif event[0] == b"EXIT":
            raise ConnectionError("a peer left in the middle")


def enter(node):
    while True:
        event = node.recv()
        if event[0] == b"ENTER":
            return event


def one_way_sink():
    node = start("sink")
    report({"ready": ""})
    for number, (peer, message) in enumerate(whispers(node)):
        check(message, number)
        seen = number + 1
        if seen == warmup:
            measure()
            started_at = time.perf_counter()
        if seen == total:
            seconds = time.perf_counter() - started_at
            result({"seconds": seconds, "rate": count / seconds})
        if seen % RECEIPT_EVERY == 0:
            node.whisper(peer, b"receipt")


def one_way_source():
    node = start("source")
    peer = uuid.UUID(bytes=enter(node)[1])
    receipts = whispers(node)
    received = 0
    for number in range(total):
        if number == warmup:
            measure()
        while number - received >= MOST_UNDER_WAY:
            next(receipts)
            received += RECEIPT_EVERY
        node.whisper(peer, payload(number))
    hold()


def echo_sink():
    node = start("sink")
    report({"ready": ""})
    for number, (peer, message) in enumerate(whispers(node)):
        node.whisper(peer, message)
        if number + 1 == warmup:
            measure()


def windowed_source(message_of, check_answer):
    node = start("source")
    peer = uuid.UUID(bytes=enter(node)[1])
    sent = min(total, WINDOW)
    for number in range(sent):
        node.whisper(peer, message_of(number))
    for number, (_, message) in enumerate(whispers(node)):
        check_answer(message, number)
        if number + 1 == warmup:
            measure()
            started_at = time.perf_counter()
        if number + 1 == total:
            seconds = time.perf_counter() - started_at
            result({"seconds": seconds, "rate": count / seconds})
        if sent < total:
            node.whisper(peer, message_of(sent))
            sent += 1


def ping_source():
    node = start("source")
    peer = uuid.UUID(bytes=enter(node)[1])
    answers = whispers(node)
    times = []
    for number in range(total):
        if number == warmup:
            measure()
        sent_at = time.perf_counter()
        node.whisper(peer, payload(number))
        _, message = next(answers)
        if number >= warmup:
            times.append(time.perf_counter() - sent_at)
        check(message, number)
    result(percentiles(times))


def discovery_sink():
    node = start("sink")
    report({"ready": ""})
    measure()
    times = []
    while len(times) < count:
        event = enter(node)
        now = time.time_ns()
        times.append((now - int(json.loads(event[3])[STARTED])) / 1e9)
        node.whisper(uuid.UUID(bytes=event[1]), b"welcome")
    result(percentiles(times))


def discovery_source():
    measure()
    node = None
    for newcomer in range(count):
        if node:
            node.stop()
        time.sleep((200 + newcomer * 370 % 1000) / 1000)
        node = start("newcomer", [(STARTED, str(time.time_ns()))])
        next(whispers(node))
    hold()


def operands(number):
    return number % 1000, number * 7 % 1000


def call(number):
    a, b = operands(number)
    request = {"jsonrpc": "2.0", "id": str(number), "method": "calc.add", "params": {"a": a, "b": b}}
    return json.dumps(request).encode()


def check_sum(message, _):
    answer = json.loads(message)
    if answer["result"] != sum(operands(int(answer["id"]))):
        raise ValueError(f"wrong result: {message!r}")


def call_sink():
    node = start("sink")
    report({"ready": ""})
    for number, (peer, message) in enumerate(whispers(node)):
        request = json.loads(message)
        result = request["params"]["a"] + request["params"]["b"]
        node.whisper(peer, json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}).encode())
        if number + 1 == warmup:
            measure()


def sequential_call_source():
    node = start("source")
    peer = uuid.UUID(bytes=enter(node)[1])
    answers = whispers(node)
    times = []
    for number in range(total):
        if number == warmup:
            measure()
        sent_at = time.perf_counter()
        node.whisper(peer, call(number))
        _, message = next(answers)
        check_sum(message, number)
        if number >= warmup:
            times.append(time.perf_counter() - sent_at)
    result(percentiles(times))


SIDES = {
    ("OneWay", "Sink"): one_way_sink,
    ("OneWay", "Source"): one_way_source,
    ("Echo", "Sink"): echo_sink,
    ("Echo", "Source"): lambda: windowed_source(payload, check),
    ("PingPong", "Sink"): echo_sink,
    ("PingPong", "Source"): ping_source,
    ("Discovery", "Sink"): discovery_sink,
    ("Discovery", "Source"): discovery_source,
    ("Call", "Sink"): call_sink,
    ("Call", "Source"): lambda: windowed_source(call, check_sum),
    ("CallSequential", "Sink"): call_sink,
    ("CallSequential", "Source"): sequential_call_source,
}

threading.Thread(target=end_with_stdin, daemon=True).start()
try:
    SIDES[name, job["side"]]()
except Exception as error:  # whatever it is, the parent must hear of it
    report({"error": repr(error)})
    os._exit(1)
