"""Lets the conformance suite drive the echo server and client: conformance adapter 'python3 adapter.py'"""

import json
import os
import selectors

from echo_server import Server, clock
from pulsewire import Settings, is_fault


class Adapter:
    def __init__(self):
        self.server, self.live, self.events, self.input = None, {}, [], b""

    # What no connection is needed for.

    def describe(self):
        return {"name": "python", "roles": ["server", "client"], "numbers": True}

    def listen(self, numbers, resync, admission):
        self.start(numbers, resync, admission)
        return {"address": self.server.listen("127.0.0.1:0")}

    def connect(self, address, numbers, resync, admission):
        self.start(numbers, resync, False)
        self.server.connect(address)
        return {}

    def start(self, numbers, resync, asks):
        self.server = Server(Settings(resync, **numbers), 32 << 20, asks=asks)
        self.server.hear = self.hear
        self.server.selector.register(0, selectors.EVENT_READ, self.read)

    def stop(self):
        self.server.stop_listening()
        for link in list(self.server.links):
            link.protocol.abort(clock())
            link.settle()
        self.server, self.live, self.events = None, {}, []
        return {}

    def connections(self):
        return {"connections": [id for id, link in self.live.items() if link.protocol.hello]}

    # To a connection.

    def send(self, link, payload, **message):
        payload = bytes.fromhex(payload)
        if link.protocol.send(message["class"], False, payload):
            return {}
        limit = link.protocol.hello and link.protocol.hello.message_limit
        return {"refused": "too_large" if limit and len(payload) > limit else "closed", "payload": payload.hex()}

    def close(self, link, reason, retry_after, text):
        link.held = False
        link.protocol.close(reason, clock(), retry_after, text or None)

    refuse = close

    def pause(self, link):
        if not link.protocol.pause(clock()):
            return {"refused": "closed"}
        link.held = True

    def resume(self, link):
        link.held = False

    hold, release = pause, resume

    def drain(self, link):
        link.protocol.drain()

    def abort(self, link):
        link.protocol.abort(clock())

    def accept(self, link):
        link.protocol.accept(clock())

    # Between the lines and the above.

    FREE = {"describe", "listen", "connect", "stop", "connections"}
    BOUND = {"send", "close", "refuse", "pause", "resume", "hold", "release", "drain", "abort", "accept"}

    def obey(self, do, connection=None, **rest):
        if do == "events":
            events, self.events = self.events, []
            return {"events": events}
        if do in self.FREE:
            return getattr(self, do)(**rest)
        if do not in self.BOUND:
            return {"unsupported": "there is no such command"}
        link = self.live.get(tuple(connection))
        if not link:
            return {"refused": "stale", "payload": rest.get("payload", "")}
        answer = getattr(self, do)(link, **rest) or {}
        link.settle()
        return answer

    def hear(self, link, event, values):
        id, what = (0, 0, link.number), {"what": event}
        if event in ("admission", "established"):
            self.live[id] = link
        match event, values:
            case ("admission" | "suspect" | "recovered"), _:
                pass
            case "rejected", (cls, ordinal, reason):
                what |= {"class": cls, "ordinal": ordinal, "reason": reason}
            case "refused", (_, _, 1):
                what = {"what": "too_large"}
            case "drain", (received,):
                what = {"what": "draining", "received": received}
            case "close", (close,) if not is_fault(close["reason"]):
                what = {"what": "closing"} | said(close)
            case "ended", (reason, origin, orderly, _):
                self.live.pop(id, None)
                told = link.protocol.peer_close if origin == "peer" else {"reason": int(reason)}
                what = {"what": "closed", "origin": origin, "orderly": orderly} | said(told)
            case _:
                return
        self.events.append({"connection": id} | what)

    def read(self):
        come = os.read(0, 1 << 20)
        if not come:
            raise SystemExit
        *lines, self.input = (self.input + come).split(b"\n")
        for line in lines:
            try:
                answer = self.obey(**json.loads(line))
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), flush=True)

    def run(self):
        while True:
            self.server.turn() if self.server else self.read()


def said(close):
    return {"reason": close["reason"], "retry_after": close.get("retry_after"), "text": close.get("text") or ""}


if __name__ == "__main__":
    Adapter().run()
