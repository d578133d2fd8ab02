"""A pyre node driven by JSON lines: commands on stdin, events and replies on stdout.

One loop owns the node, because pyre's API is not thread-safe. It never blocks on a send: pyre's node thread
stops when nobody reads its events, so a full command pipe is waited out while events are being read.
"""
import gc
import json
import os
import struct
import sys
import threading
import traceback
import uuid

import zmq
from pyre import Pyre
from pyre.pyre_node import PyreNode

FLOOD_SLICE = 200


def emit(**event):
    sys.stdout.write(json.dumps(event) + "\n")


def hexid(raw):
    return raw.hex().upper()


def died(args):
    emit(event="DIED", error="".join(traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback)))
    sys.stdout.flush()


class Counter:
    """What arrived of one sender's numbered messages, kept without a JSON line per message."""

    def __init__(self):
        self.received = self.next = self.missing = self.reordered = 0
        self.first_gap = None

    def take(self, frame):
        number = struct.unpack_from(">Q", frame)[0]
        self.received += 1
        if number > self.next:
            if self.first_gap is None:
                self.first_gap = self.next
            self.missing += number - self.next
        elif number < self.next:
            self.reordered += 1
            return
        self.next = number + 1

    def report(self):
        return vars(self)


class Adapter:
    def __init__(self, options):
        self.node = Pyre(options.get("name"))
        for key, value in options.get("headers", {}).items():
            self.node.set_header(key, value)
        if "port" in options:
            self.node.set_port(str(options["port"]).encode())
        for group in options.get("groups", []):
            self.node.join(group)
        self.node.start()
        # A dead node thread answers no query; fail instead of waiting for it.
        self.pipe = self.node.actor.resolve()
        self.pipe.setsockopt(zmq.RCVTIMEO, 5000)
        self.floods = []
        self.counting = False
        self.counters = {}
        self.awaited = {}
        self.pending = b""
        emit(event="READY", peer=hexid(self.node.uuid().bytes), name=self.node.name(), endpoint=self.node.endpoint())

    def loop(self):
        poller = zmq.Poller()
        poller.register(self.node.socket(), zmq.POLLIN)
        poller.register(0, zmq.POLLIN)
        while True:
            ready = dict(poller.poll(self.patience()))
            if self.node.socket() in ready:
                self.read_events()
            if 0 in ready:
                chunk = os.read(0, 1 << 20)
                if not chunk:
                    return
                *lines, self.pending = (self.pending + chunk).split(b"\n")
                for line in lines:
                    self.command(json.loads(line))
            self.advance_floods()
            sys.stdout.flush()

    def patience(self):
        if not self.floods:
            return None
        # Spinning on a full pipe would take the interpreter lock away from the node thread that empties it.
        return 0 if self.pipe.poll(0, zmq.POLLOUT) else 1

    def read_events(self):
        for _ in range(1000):
            try:
                self.event(self.node.socket().recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                return

    def event(self, frames):
        kind, peer, name, rest = frames[0].decode(), hexid(frames[1]), frames[2].decode(errors="replace"), frames[3:]
        event = {"event": kind, "peer": peer, "name": name}
        if kind == "ENTER":
            event["headers"], event["endpoint"] = json.loads(rest[0]), rest[1].decode()
        elif kind in ("JOIN", "LEAVE"):
            event["group"] = rest[0].decode()
        elif kind in ("WHISPER", "SHOUT"):
            if kind == "SHOUT":
                event["group"] = rest.pop(0).decode()
            if self.counting:
                counter = self.counters.setdefault(peer, Counter())
                counter.take(rest[0])
                self.report_reached(peer)
                return
            event["frames"] = [frame.hex() for frame in rest]
        emit(**event)

    def report_reached(self, peer):
        counter, awaited = self.counters.get(peer), self.awaited.get(peer)
        if counter and awaited is not None and counter.next >= awaited:
            del self.awaited[peer]
            emit(event="REACHED", peer=peer, **counter.report())

    def command(self, command):
        reply = {"event": "REPLY", "id": command.get("id")}
        try:
            reply["value"] = getattr(self, "do_" + command["cmd"])(command)
        except Exception as error:
            reply["error"] = repr(error)
        emit(**reply)

    def send(self, target, frames):
        # pyre leaves an empty list as an unfinished message in its pipe, which would swallow the next call.
        if not frames:
            raise ValueError("pyre cannot send a message without frames")
        while not self.pipe.poll(0, zmq.POLLOUT):
            self.read_events()
        if "peer" in target:
            self.node.whisper(uuid.UUID(target["peer"]), frames)
        else:
            self.node.shout(target["group"], frames)

    def advance_floods(self):
        for flood in list(self.floods):
            for _ in range(min(FLOOD_SLICE, flood["left"])):
                if not self.pipe.poll(0, zmq.POLLOUT):
                    break
                number = struct.pack(">Q", flood["next"])
                self.send(flood, [number.ljust(flood.get("size", 8), b"\0")])
                flood["next"] += 1
                flood["left"] -= 1
            if not flood["left"]:
                self.floods.remove(flood)
                emit(event="FLOODED", id=flood.get("id"), sent=flood["next"])

    def do_join(self, command):
        self.node.join(command["group"])

    def do_leave(self, command):
        self.node.leave(command["group"])

    def do_whisper(self, command):
        self.send({"peer": command["peer"]}, [bytes.fromhex(frame) for frame in command["frames"]])

    def do_shout(self, command):
        self.send({"group": command["group"]}, [bytes.fromhex(frame) for frame in command["frames"]])

    def do_flood(self, command):
        flood = dict(command, left=command["count"], next=command.get("start", 0))
        self.floods.append(flood)

    def do_count(self, command):
        self.counting = command["on"]
        self.counters = {}

    def do_counts(self, _command):
        return {peer: counter.report() for peer, counter in self.counters.items()}

    def do_await(self, command):
        self.awaited[command["peer"]] = command["next"]
        self.report_reached(command["peer"])

    def do_skip(self, command):
        """Acts as if a message to (out) or from (in) a peer had got lost; the node has no door for that."""
        nodes = [found for found in gc.get_objects() if isinstance(found, PyreNode)]
        peer = nodes[0].peers[uuid.UUID(command["peer"])]
        if command["way"] == "out":
            peer.sent_sequence += 1
        else:
            peer.want_sequence -= 1

    def do_peers(self, _command):
        return [hexid(peer.bytes) for peer in self.node.peers()]

    def do_peers_in(self, command):
        return [hexid(peer.bytes) for peer in self.node.peers_by_group(command["group"])]

    def do_address(self, command):
        return self.node.peer_address(uuid.UUID(command["peer"]))

    def do_stop(self, _command):
        self.pipe.setsockopt(zmq.RCVTIMEO, -1)
        self.node.stop()

    def do_quit(self, _command):
        sys.stdout.flush()
        os._exit(0)


threading.excepthook = died
try:
    Adapter(json.loads(sys.argv[1])).loop()
except BaseException:
    traceback.print_exc()
    emit(event="DIED", error=traceback.format_exc())
    sys.stdout.flush()
# pyre's threads are not daemons and would keep a finished process alive.
os._exit(0)
