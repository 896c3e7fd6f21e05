"""A Pulsewire echo server or client over TCP: returns each message with its class and its ENCRYPTED mark."""

import argparse
import errno
import heapq
import itertools
import os
import selectors
import signal
import socket
import struct
import sys
import time

from connection import Connection
from pulsewire import NUMBERS, Reason, Settings

READS, READ, WRITE = 4, 65_536, 262_144  # how much one turn of one connection reads and writes
LATE_TURNS = 64  # how often it reads before a time limit is judged
ENDS = {errno.ECONNRESET: Reason.RESET, errno.EPIPE: Reason.RESET}  # section 9.2; any other error is NETWORK_LOST
ASK = 10, 1_000  # ms: how soon, and how seldom at most, the kernel is asked again what is acknowledged
NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25 if sys.platform == "linux" else None)


try:
    from fcntl import ioctl
    from termios import TIOCOUTQ  # the number of SIOCOUTQ
except ImportError:
    ioctl = None
TELLS = sys.platform == "linux" and ioctl is not None  # elsewhere TIOCOUTQ means something else, or nothing


def clock():
    return time.monotonic_ns() / 1e6


class Link:
    """One connection: its socket and its protocol."""

    def __init__(self, server, sock, name, client=False):
        self.server, self.sock, self.name = server, sock, name
        self.mask, self.scheduled, self.number, self.broken = 0, None, next(server.numbers), False
        self.held = False  # the application takes nothing
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # PW-TCP-002
        if NOTSENT_LOWAT is not None:
            sock.setsockopt(socket.IPPROTO_TCP, NOTSENT_LOWAT, 128 * 1024)  # PW-TCP-003
        self.protocol = Connection(server.settings, clock(), acknowledges=TELLS, client=client, asks=server.asks)
        self.settle()

    def read(self):
        """Reads what can be read, within a turn, and acts on it; True if nothing is left."""
        for _ in range(READS):
            if self.protocol.paused or self.protocol.eof or self.protocol.dead:
                return True
            try:
                data = self.sock.recv(READ)
            except BlockingIOError:
                return True
            except OSError as error:
                self.lost(error)
                return True
            now = clock()
            if data:
                self.protocol.receive(data, now)
                while self.protocol.step():
                    self.hear()
                    if self.protocol.rejects:  # they are bounded while they wait (PW-REJ-006), so they do not
                        self.write()
            else:
                self.protocol.receive_eof(now)
            self.hear()
        return False

    def hear(self):
        events, self.protocol.events = self.protocol.events, []
        for event, *values in events:
            self.server.hear(self, event, values)
            if event == "message":
                if not self.protocol.send(*values):
                    self.server.log(self.name, "not echoed", len(values[2]))
            elif event == "ended":
                reason = values[0]
                self.server.log(self.name, "ended:", reason.name if isinstance(reason, Reason) else reason, *values[1:])
            elif event == "established":
                self.server.log(self.name, event)
            elif event not in ("ping", "pong"):
                self.server.log(self.name, event, *values)

    def write(self):
        budget = WRITE
        while budget > 0 and not self.broken and not self.protocol.dead and (out := self.protocol.outgoing(clock())):
            try:
                count = self.sock.send(out)
            except BlockingIOError:
                break
            except OSError as error:
                return self.write_failed(error)
            self.protocol.taken(count, clock())
            budget -= count
        if self.protocol.done_sending and not (self.broken or self.protocol.shut or self.protocol.dead):
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError as error:
                return self.write_failed(error)
            self.protocol.half_closed()  # PW-CLS-012

    def write_failed(self, error):
        """PW-TCP-001: what the peer said last is read and acted on before the end is reported."""
        self.broken = True
        if self.protocol.paused:
            self.protocol.resume(clock())
        for _ in range(LATE_TURNS):
            if self.read():
                break
        self.lost(error)

    def ask(self):
        """PW-TCP-005: what the kernel took, less what it still keeps, has reached the peer's host."""
        if TELLS and self.protocol.bytes.unacknowledged:
            try:
                kept, = struct.unpack("i", ioctl(self.sock, TIOCOUTQ, bytes(4)))
            except OSError:
                kept = 0
            self.protocol.acknowledged(self.protocol.bytes.taken - kept, clock())

    def lost(self, error):
        self.protocol.lost(ENDS.get(error.errno, Reason.NETWORK_LOST), detail=error.strerror)

    def settle(self):
        """After anything: write, pause or go on, close what is finished, say when to wake."""
        protocol = self.protocol
        self.write()
        if (self.held or protocol.messages.size > self.server.queue) and not protocol.paused:
            protocol.pause(clock())
            self.write()
        elif protocol.paused and not self.held and protocol.messages.size <= self.server.queue // 2:
            protocol.resume(clock())
            self.write()
        self.ask()
        self.hear()
        if protocol.finished:
            self.watch(0)
            self.server.links.discard(self)
            self.sock.close()
            return
        reading = not (protocol.paused or protocol.eof)
        self.watch((selectors.EVENT_READ if reading else 0) | (selectors.EVENT_WRITE if protocol.outgoing(clock()) else 0))
        deadline = self.wakes_at()
        if deadline is not None and (self.scheduled is None or deadline < self.scheduled):
            self.scheduled = deadline
            heapq.heappush(self.server.timers, (deadline, self.number, self))

    def wakes_at(self):
        """When to look at the clock, or to ask again what is acknowledged: the longer nothing was, the later."""
        deadline = self.protocol.next_deadline()
        if TELLS and deadline is not None and self.protocol.bytes.unacknowledged:
            now = clock()
            waited = now - self.protocol.bytes.moved_at
            deadline = min(deadline, now + min(max(waited, ASK[0]), ASK[1]))
        return deadline

    def judge(self, now):
        """PW-TCP-001, PW-TCP-005: a time limit is judged by the latest that can be known."""
        deadline = self.protocol.next_deadline()
        if deadline is not None and deadline <= now:
            self.write()
            self.ask()
            for _ in range(LATE_TURNS):
                if self.read():
                    break
            self.protocol.tick(now)

    def watch(self, mask):
        if mask and self.mask:
            if mask != self.mask:
                self.server.selector.modify(self.sock, mask, self)
        elif mask:
            self.server.selector.register(self.sock, mask, self)
        elif self.mask:
            self.server.selector.unregister(self.sock)
        self.mask = mask


class Server:
    """Echoes on the connections that it accepts, or on one that it made."""

    def __init__(self, settings, queue, verbose=False, asks=False):
        self.settings, self.queue, self.verbose, self.asks = settings, queue, verbose, asks
        self.selector, self.links, self.timers, self.numbers = selectors.DefaultSelector(), set(), [], itertools.count(1)
        self.listener = None

    def listen(self, address):
        """Where it listens then."""
        host, _, port = address.rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host.strip("[]"), int(port)), family=family, backlog=512)
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        host, port = self.listener.getsockname()[:2]
        return f"{f'[{host}]' if ':' in host else host}:{port}"

    def connect(self, address):
        host, _, port = address.rpartition(":")
        self.links.add(Link(self, socket.create_connection((host.strip("[]"), int(port))), address, client=True))

    def stop_listening(self):
        if self.listener:
            self.selector.unregister(self.listener)
            self.listener.close()
            self.listener = None

    def hear(self, link, event, values):
        """Of each event of each connection, for those who want to know."""

    def log(self, *what):
        if self.verbose:
            print(*what, file=sys.stderr, flush=True)

    def accept(self):
        try:
            while self.listener:
                sock, address = self.listener.accept()
                self.links.add(Link(self, sock, f"{address[0]}:{address[1]}"))
        except OSError:
            pass  # none left, or no file descriptor for it

    def turn(self, until=None):
        """Waits for what comes next, no longer than until then, and acts on it."""
        wakes = [when for when in (self.timers[0][0] if self.timers else None, until) if when is not None]
        ready = self.selector.select(max(0, min(wakes) - clock()) / 1000 if wakes else None)
        for key, mask in ready:
            link = key.data
            if not isinstance(link, Link):
                link()
            elif link in self.links:
                if mask & selectors.EVENT_READ:
                    link.read()
                link.settle()
        now = clock()
        while self.timers and self.timers[0][0] <= now:
            when, _, link = heapq.heappop(self.timers)
            if link.scheduled == when and link in self.links:
                link.scheduled = None
                link.judge(now)
                link.settle()


class Service:
    """A server or client until it is told to end: by SIGTERM, or by the end of its standard input."""

    def __init__(self, server, drain):
        self.server, self.drain = server, drain
        self.ending, self.close_at = False, None
        signals, wake = socket.socketpair()
        signals.setblocking(False)
        wake.setblocking(False)
        self.wake = wake
        signal.set_wakeup_fd(wake.fileno())
        signal.signal(signal.SIGTERM, lambda *_: None)  # the wakeup tells the loop
        server.selector.register(signals, selectors.EVENT_READ, lambda: signals.recv(64) and self.end())
        try:
            server.selector.register(sys.stdin, selectors.EVENT_READ, self.input)
        except (PermissionError, ValueError):
            pass  # a file or /dev/null, which tells no end

    def input(self):
        if not os.read(sys.stdin.fileno(), 4096):
            self.server.selector.unregister(sys.stdin)
            self.end()

    def end(self):
        """Ends in order: no new connections, DRAIN if wanted, then CLOSE."""
        if self.ending:
            return
        self.ending = True
        self.server.stop_listening()
        self.close_at = clock() + self.drain
        if self.drain:
            for link in list(self.server.links):
                link.protocol.drain()
                link.settle()

    def close(self):
        self.close_at = None
        for link in list(self.server.links):
            link.protocol.close(Reason.GOING_AWAY, clock())
            link.settle()

    def run(self):
        while self.server.links or self.server.listener:
            self.server.turn(self.close_at)
            if self.close_at is not None and clock() >= self.close_at:
                self.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="ADDRESS:PORT")
    parser.add_argument("--connect", metavar="ADDRESS:PORT", help="be a client of the server there, until the connection is over")
    parser.add_argument("--drain", type=int, default=0, metavar="MS", help="at the end, send DRAIN and this much later CLOSE")
    parser.add_argument("--queue", type=int, default=33_554_432, metavar="BYTES",
                        help="stop reading a connection, and say BUSY, while more than this waits to be sent to it")
    parser.add_argument("--no-resync", dest="resync", action="store_false", help="close at damage, and do not announce RESYNC")
    parser.add_argument("--verbose", action="store_true", help="tell on standard error what happens")
    for name, (default, lowest, highest) in NUMBERS.items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=default, metavar="N",
                            help=f"{lowest} to {highest}, default {'by others or none' if default is None else default}")
    given = vars(parser.parse_args())
    own = {name: given.pop(name) for name in ("listen", "connect", "queue", "drain", "verbose")}
    try:
        settings = Settings(**given)
    except ValueError as error:
        parser.error(str(error))
    server = Server(settings, own["queue"], own["verbose"])
    if own["connect"]:
        server.connect(own["connect"])
    else:
        print("listening on", server.listen(own["listen"]), flush=True)
    Service(server, own["drain"]).run()


if __name__ == "__main__":
    main()
