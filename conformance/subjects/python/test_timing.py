"""Times, turns and counts that no conversation of a server shows: python3 -m unittest test_timing"""

import errno
import struct
import unittest
from itertools import count
from unittest.mock import Mock, patch

import echo_server
import pulsewire
from connection import Connection
from pulsewire import BUSY, CHECKSUM, CLOSE, CLOSE_ACK, DATA, DRAIN, FIRST, HELLO, MORE, PING, PONG, REJECT, Reason, Settings
from test_vectors import HELLO as GREETING

KEY = 0x0A0B0C0D


def established(resync=True, acknowledges=False, **numbers):
    """A side that greeted the peer at 0. Without jitter where `idle` is not above the peer's floor of 1,000."""
    side = Connection(Settings(resync, **numbers), 0, KEY, acknowledges)
    receive(side, pulsewire.packet(HELLO, GREETING, 0), 0)
    write(side, 0)
    side.acknowledged(side.bytes.taken, 0)
    side.events.clear()
    return side


def receive(side, data, now):
    side.receive(data, now)
    while side.step():
        pass


def write(side, now):
    """The packets that a transport with room takes."""
    packets = []
    while out := bytes(side.outgoing(now)):
        side.taken(len(out), now)
        while out:
            size = 12 + int.from_bytes(out[5:8], "big") + (4 if out[3] & CHECKSUM else 0)
            packets.append(out[:size])
            out = out[size:]
    return packets


def kinds(packets):
    return [packet[2] for packet in packets]


def until(side, end):
    """Serves every deadline up to `end`, with a transport that has room; the times of the packets that go out."""
    sent = []
    while (deadline := side.next_deadline()) is not None and deadline <= end:
        side.tick(deadline)
        sent += [(deadline, kind) for kind in kinds(write(side, deadline))]
    return sent


def control(kind, form, *values):
    return pulsewire.packet(kind, struct.pack(form, *values), KEY)


def busy(pause):
    return control(BUSY, ">I", pause)


def ping(number):
    return control(PING, ">Q", number)


def frame(payload, flags, cls=0):
    return pulsewire.packet(DATA, payload, KEY, flags | CHECKSUM, cls)


def ended(side):
    return [event[1] for event in side.events if event[0] == "ended"]


class Receiving(unittest.TestCase):
    def test_frame_stall_counts_from_where_skipping_reached_the_packet(self):
        """PW-FRM-015"""
        side = established(idle=60_000, assembly_base=500, assembly_rate=1_000)
        receive(side, b"\0" * 11, 100)
        receive(side, b"\0" * 11, 300)  # skips 11 of them
        side.tick(815)
        self.assertEqual(ended(side), [])
        side.tick(816)
        self.assertEqual(ended(side), [Reason.FRAME_STALL])

    def test_headers_and_bytes_behind_them_are_evidence(self):
        """PW-HB-001, PW-HB-002: of a packet that is passed over, and of one that is dropped, too."""
        for data in (frame(b"", FIRST), frame(b"", FIRST)[:-1] + b"\xff", pulsewire.packet(0xC0, b"12", KEY)):
            side = established(idle=10_000)
            receive(side, data[:11], 1_000)
            self.assertLess(side.heartbeat.idle_at, 11_000)
            for at, count in enumerate(range(12, len(data) + 1)):
                receive(side, data[count - 1:count], 20_000 * at + 20_000)
                self.assertGreaterEqual(side.heartbeat.idle_at, 20_000 * at + 28_000)
                side.now = 20_000 * at + 20_000

    def test_only_a_whole_busy_is_evidence(self):
        """PW-HB-002"""
        side = established(idle=10_000)
        receive(side, busy(5_000)[:-1], 5_000)
        self.assertLess(side.heartbeat.idle_at, 11_000)
        receive(side, busy(5_000)[-1:], 6_000)
        self.assertGreater(side.heartbeat.idle_at, 13_000)

    def test_message_stall(self):
        """PW-DAT-013"""
        side = established(idle=60_000, assembly_base=472, assembly_rate=1_000, frame_limit=512)  # whole: 1,000
        receive(side, frame(b"x" * 84, FIRST | MORE), 1_000)
        self.assertEqual(side.next_deadline(), 2_000)
        part = frame(b"x" * 84, MORE)
        receive(side, part[:12], 1_500)  # 100 for the header
        self.assertEqual(side.open.ends, 2_100)
        receive(side, part[12:], 1_550)  # and as many for the rest
        self.assertEqual(side.next_deadline(), 2_200)
        receive(side, part + part, 1_600)  # never more than the whole
        self.assertEqual(side.next_deadline(), 2_600)
        side.tick(2_599)
        self.assertEqual(ended(side), [])
        side.tick(2_600)
        self.assertEqual(ended(side), [Reason.MESSAGE_STALL])

    def test_the_time_of_a_message_rests_in_a_pause_of_the_peer(self):
        """PW-HB-020: for busy_max in all."""
        side = established(idle=60_000, assembly_base=472, assembly_rate=1_000, frame_limit=512, busy_max=700)
        receive(side, frame(b"x", FIRST | MORE), 1_000)
        receive(side, busy(500), 1_100)
        self.assertEqual(side.open.time.when(side.open.ends, side.pause_until), 2_500)
        receive(side, busy(0), 1_400)
        self.assertEqual(side.next_deadline(), 2_300)
        receive(side, busy(600), 1_500)  # of which 400 are left
        self.assertEqual(side.open.time.when(side.open.ends, side.pause_until), 2_700)

    def test_an_own_pause_gives_a_message_its_whole_time(self):
        """PW-HB-023"""
        side = established(idle=60_000, assembly_base=472, assembly_rate=1_000, frame_limit=512)
        receive(side, frame(b"x", FIRST | MORE), 1_000)
        side.pause(1_500)
        write(side, 1_500)
        self.assertGreater(side.next_deadline(), 2_000)
        side.resume(5_000)
        self.assertEqual(side.next_deadline(), 6_000)

    def test_nothing_is_held_of_what_is_passed_over(self):
        """PW-FRM-013"""
        side = established()
        for data in (pulsewire.packet(0xC0, b"x" * 60_000, KEY), b"\0" * 12 + frame(b"x" * 60_000, MORE)):
            receive(side, data[:50_000], 0)
            self.assertEqual((len(side.buffer), len(side.arriving.payload)), (0, 0))
            receive(side, data[50_000:], 0)
        self.assertEqual(ended(side), [])

    def test_other_protocols(self):
        """PW-FRM-014"""
        for begin, name in ((b"GET / HTTP/1.1\r\n", "HTTP"), (b"PROXY TCP4 192.0.2.1", "PROXY protocol 1"),
                            (b"\r\n\r\n\0\r\nQUIT\n\x21", "PROXY protocol 2"), (b"SSH-2.0-x\r\n\r\n", "SSH"),
                            (b"\x16\x03\x01" + bytes(20), "TLS")):
            side = Connection(Settings(), 0, KEY)
            receive(side, begin, 0)
            self.assertEqual(side.events[-1][1:], (Reason.NOT_PULSEWIRE, "local", False, f"looks like {name}"))


class Sending(unittest.TestCase):
    def test_the_example_of_write_stall(self):
        """PW-CLS-015"""
        side = established(acknowledges=True, idle=600_000, write_stall=30_000, assembly_rate=1_024)
        sent, b = side.bytes.handed_out, side.bytes
        b.hand_out(bytes(10_240), 0)
        self.assertEqual(side.next_deadline(), 30_000)
        side.acknowledged(sent + 4_096, 5_000)
        b.hand_out(bytes(2_048), 5_000)
        self.assertEqual(side.next_deadline(), 35_000)
        side.acknowledged(sent + 4_097, 30_000)
        self.assertEqual(side.next_deadline(), 40_000)
        side.acknowledged(sent + 10_240, 39_000)
        self.assertEqual(side.next_deadline(), 43_000)
        side.acknowledged(sent + 12_288, 42_000)
        self.assertGreater(side.next_deadline(), 43_000)

    def test_write_stall_rests_in_a_pause(self):
        """PW-HB-020: for busy_max between two acknowledgements."""
        side = established(acknowledges=True, idle=600_000, write_stall=30_000, busy_max=5_000)
        sent = side.bytes.handed_out
        side.bytes.hand_out(bytes(1_024), 0)
        receive(side, busy(4_000), 1_000)
        receive(side, busy(0), 4_000)
        self.assertEqual(side.next_deadline(), 33_000)
        receive(side, busy(4_000), 6_000)
        side.tick(10_000)
        self.assertEqual(side.next_deadline(), 35_000)
        side.acknowledged(sent + 1, 20_000)
        receive(side, ping(1) + busy(4_000), 21_000)
        side.tick(25_000)
        self.assertEqual(side.bytes.stalls_at(None), 40_000)  # 31,000, and 9,000 of rest

    def test_the_last_packets_may_stall(self):
        """PW-CLS-015, PW-CLS-012: linger counts from the last acknowledgement."""
        side = established(acknowledges=True, write_stall=10_000, linger=2_000)
        side.close(Reason.BAD_PACKET, 0)
        self.assertEqual(side.next_deadline(), 2_000)
        side.acknowledged(side.bytes.acknowledged + 1, 1_500)
        self.assertEqual(side.next_deadline(), 3_500)
        side.tick(3_500)
        self.assertTrue(side.finished)

    def test_close_timeout_counts_from_the_last_acknowledgement(self):
        """PW-CLS-007"""
        side = established(acknowledges=True, idle=600_000, close_timeout=2_000)
        side.send(0, False, b"x" * 100)
        side.close(Reason.NORMAL, 0)
        write(side, 0)
        side.acknowledged(side.bytes.acknowledged + 10, 1_000)
        self.assertEqual(side.next_deadline(), 3_000)
        self.assertEqual(until(side, 3_000), [])
        self.assertEqual(ended(side), [Reason.CLOSE_TIMEOUT])

    def test_classes_take_turns(self):
        """PW-DAT-015, PW-DAT-014"""
        side = established(frame_sent=512)
        for cls, size in ((0, 1_536), (0, 1), (1, 100), (1, 200), (1, 300), (2, 513), (3, 510), (2, 7)):
            side.send(cls, False, b"x" * size)
        sent = [(packet[4], packet[3], len(packet) - 12) for packet in write(side, 0)]
        self.assertEqual(sent, [
            (0, FIRST | MORE, 512), (1, FIRST, 100), (0, MORE, 512), (3, FIRST, 510),  # of class 2 none is small enough
            (0, 0, 512), (2, FIRST | MORE, 512), (1, FIRST, 200), (0, FIRST, 1), (2, 0, 1), (1, FIRST, 300), (2, FIRST, 7)])

    def test_no_more_of_others_than_the_frame_before(self):
        """PW-DAT-014"""
        side = established(frame_sent=512)
        side.send(0, False, b"x" * 1_024)
        for cls in (1, 2, 3):
            side.send(cls, False, b"x" * 250)
        self.assertEqual([packet[4] for packet in write(side, 0)], [0, 1, 2, 0, 3])

    def test_frames_are_cut_at_the_smaller_limit(self):
        """PW-DAT-009"""
        side = established()
        side.send(0, False, b"x" * 70_000)
        self.assertEqual([len(packet) - 12 for packet in write(side, 0)], [65_536, 4_464])


class Ends(unittest.TestCase):
    def test_the_end_of_the_stream_does_not_cut_off_what_was_handed_out(self):
        side = established()
        side.send(2, False, b"x")
        side.outgoing(0)
        side.receive_eof(0)
        self.assertEqual(side.events[-1][:4], ("ended", Reason.PEER_ENDED, "transport", False))
        self.assertFalse(side.done_sending or side.finished)
        self.assertEqual(kinds(write(side, 0)), [DATA])
        self.assertTrue(side.finished)

    def test_write_stall_leaves_its_close_the_time_of_last_words(self):
        side = established(write_stall=500, linger=400, idle=60_000)
        side.send(2, False, b"x")
        side.outgoing(0)
        side.tick(500)
        self.assertEqual(side.events[-1][:2], ("ended", Reason.WRITE_STALL))
        self.assertEqual((side.next_deadline(), side.dead), (900, False))
        self.assertEqual(kinds(write(side, 899)), [DATA, CLOSE])

    def test_what_the_peer_said_last_is_heard_when_a_write_fails(self):
        server = Mock(asks=False, settings=Settings(True), numbers=count(), queue=1 << 20, timers=[], links=set())
        close = pulsewire.packet(CLOSE, pulsewire.close_payload(Reason.BAD_PACKET, 0, 0, b""), KEY)
        socket = Mock()
        socket.recv.side_effect = [pulsewire.packet(HELLO, GREETING, 0), BlockingIOError, close, OSError(errno.ECONNRESET, "")]
        socket.send.side_effect = OSError(errno.EPIPE, "")
        with patch.object(echo_server, "TELLS", False):
            link = echo_server.Link(server, socket, "peer")
            link.protocol.key = KEY
            link.read()
            link.settle()
        ends = [call.args[1:4] for call in server.log.call_args_list if call.args[1] == "ended:"]
        self.assertEqual(ends, [("ended:", Reason.BAD_PACKET, "peer")])
        socket.close.assert_called_once()


class Heartbeats(unittest.TestCase):
    def begin(self, side):
        side.heartbeat.idle_at = 5_000  # without jitter

    def test_silence(self):
        side = established(detect_within=11_000)
        self.begin(side)
        self.assertEqual(until(side, 10_999), [(5_000, PING), (7_000, PING), (9_000, PING)])
        self.assertEqual(until(side, 11_000), [(11_000, CLOSE)])
        self.assertEqual(ended(side), [Reason.PEER_TIMEOUT])

    def test_a_ping_that_is_acknowledged_late(self):
        """The table of section 8.6."""
        side = established(acknowledges=True)
        self.begin(side)
        self.assertEqual(until(side, 6_500), [(5_000, PING)])
        for late in (1_500, 0, 0):
            ping_at = side.heartbeat.since
            side.acknowledged(side.bytes.taken, ping_at + late)
            until(side, ping_at + late + 2_000)
        self.assertEqual((ended(side), side.now), ([Reason.PEER_TIMEOUT], 12_500))

    def test_a_ping_behind_slow_bytes(self):
        """The table of section 8.6."""
        side = established(acknowledges=True, extension_max=4_000, assembly_rate=1_024, write_stall=60_000)
        sent = side.bytes.taken
        side.bytes.hand_out(bytes(30_700), 4_900)
        side.bytes.out.clear()
        self.begin(side)
        self.assertEqual(until(side, 5_000), [(5_000, PING)])
        self.assertEqual(side.heartbeat.slow, 30_000)
        pings = []
        for second in range(6, 27):
            side.acknowledged(min(sent + 2_048 * (second - 5), side.bytes.taken), 1_000 * second)
            pings += until(side, 1_000 * second)
            if second > 20:
                side.acknowledged(side.bytes.taken, 1_000 * second)
        self.assertEqual(pings, [(22_000, PING), (24_000, PING), (26_000, CLOSE)])

    def test_no_byte_is_acknowledged(self):
        side = established(acknowledges=True)
        self.begin(side)
        self.assertEqual(until(side, 11_000), [(5_000, PING), (11_000, CLOSE)])

    def test_sleep(self):
        """PW-HB-016, the table of section 8.6."""
        side = established()
        self.begin(side)
        until(side, 6_000)
        side.tick(600_000)
        self.assertEqual(kinds(write(side, 600_000)), [PING])
        self.assertEqual(until(side, 606_000), [(602_000, PING), (604_000, PING), (606_000, CLOSE)])

    def test_a_late_wait_uses_up_what_it_took_longer(self):
        """PW-HB-013, PW-HB-016: E stays below extension_max, the wait that was late included."""
        side = established(idle=1_000, interval=1_000, probes=3, extension_max=500)
        beat = side.heartbeat
        beat.srtt, beat.rttvar = 1_400, 0
        until(side, 1_000)
        self.assertEqual(side.next_deadline(), 2_400)
        side.tick(6_000)
        write(side, 6_000)
        self.assertEqual(side.next_deadline(), 7_100)

    def test_fourteen_pings_unanswered(self):
        """PW-HB-025: a probe that is due meanwhile counts as sent, and its wait starts."""
        side = established(idle=1_000, interval=1_000, probes=10)
        for second in range(1, 20):
            until(side, 1_000 * second)
            receive(side, pulsewire.packet(0xC0, b"", KEY), 1_000 * second)
        self.assertEqual(side.heartbeat.number, 14)
        self.assertEqual(until(side, 28_000), [])
        self.assertTrue(side.heartbeat.suspect)
        receive(side, control(PONG, ">Q", 5), 28_500)
        self.assertEqual(until(side, 29_500), [(29_500, PING)])

    def test_the_floor_lies_between_two_pings(self):
        """PW-HB-026: though the first one went out late."""
        side = established(idle=1_000, interval=1_000, extension_max=0)
        side.bytes.hand_out(bytes(1_400), 900)  # a transport without room for now
        side.tick(1_000)
        side.outgoing(1_000)
        self.assertTrue(side.heartbeat.waits)
        side.taken(1_400, 1_900)
        self.assertEqual(kinds(write(side, 1_900)), [PING])
        side.tick(2_000)
        self.assertEqual(kinds(write(side, 2_000)), [])
        self.assertEqual(until(side, 2_900), [(2_900, PING)])

    def test_evidence_withdraws_a_ping(self):
        """PW-HB-004"""
        side = established(idle=1_000, interval=1_000)
        side.tick(1_000)
        receive(side, pulsewire.packet(0xC0, b"", KEY), 1_000)
        self.assertEqual(kinds(write(side, 1_000)), [])

    def test_pauses_that_follow_each_other_end_together(self):
        """PW-HB-021"""
        side = established(idle=60_000, busy_max=2_000)
        receive(side, busy(1_500), 1_000)
        receive(side, busy(1_500), 2_400)
        self.assertEqual(side.next_deadline(), 3_000)
        side.tick(3_000)
        silence = side.heartbeat.idle_at
        receive(side, busy(1_500), 3_500)  # neither evidence nor a pause
        self.assertEqual((side.pause_until, side.heartbeat.idle_at), (None, silence))
        receive(side, ping(1), 3_600)
        receive(side, busy(1_500), 3_700)
        self.assertEqual(side.pause_until, 5_200)

    def test_a_packet_behind_a_pause_that_nobody_ended_yet_comes_between(self):
        """PW-HB-021: the side was late to notice that the pause is over."""
        side = established(idle=60_000, busy_max=2_000)
        receive(side, busy(1_500), 1_000)
        receive(side, ping(1), 2_900)
        receive(side, busy(1_500), 2_950)
        self.assertEqual(side.pause_until, 4_450)

    def test_a_pause_of_the_peer_that_ran_out_meanwhile_does_not_date_the_silence(self):
        """PW-HB-023"""
        side = established(idle=10_000)
        receive(side, busy(1_000), 100)
        side.pause(200)
        side.resume(50_000)
        self.assertGreaterEqual(side.heartbeat.idle_at, 50_000 + 8_000)

    def test_close_ends_a_pause(self):
        """PW-HB-024"""
        side = established()
        side.pause(100)
        self.assertEqual(kinds(write(side, 100)), [BUSY])
        side.close(Reason.NORMAL, 200)
        packets = write(side, 200)
        self.assertEqual((kinds(packets), packets[0][12:]), ([BUSY, CLOSE], bytes(4)))
        self.assertFalse(side.paused)

    def test_what_measures_nothing(self):
        """Section 8.3: BUSY, or a pause of this side, between the moments; or nobody knows what was acknowledged."""
        for what in ("busy", "pause", "unknown", None):
            side = established(acknowledges=what == "unknown", idle=1_000, interval=1_000)
            if what == "unknown":
                side.send(0, False, b"x")
                write(side, 500)
            until(side, 1_000)
            if what == "busy":
                receive(side, busy(0), 1_100)
            if what == "pause":
                side.pause(1_100)
                side.resume(1_200)
            receive(side, control(PONG, ">Q", 1), 1_700)
            self.assertEqual(side.heartbeat.srtt, 700 if what is None else None)


class Clocks(unittest.TestCase):
    def test_a_late_limit_begins_anew_once(self):
        """PW-TIM-001"""
        side = established(idle=600_000, interval=2_000, assembly_base=1_000, assembly_rate=1_000)
        receive(side, b"\xf7", 0)
        side.tick(1_016 + 2_001)
        self.assertEqual(ended(side), [])
        self.assertEqual(side.next_deadline(), 3_017 + 1_016)
        side.tick(20_000)
        self.assertEqual(ended(side), [Reason.FRAME_STALL])

    def test_a_late_write_begins_anew_once_for_each_acknowledgement(self):
        """PW-TIM-001"""
        side = established(acknowledges=True, idle=6_000_000, write_stall=1_000)
        side.bytes.hand_out(bytes(100), 0)
        for now in (10_000, 20_000):
            side.tick(now)
            self.assertEqual(side.next_deadline(), now + 1_000)
            due = now + 1_000 + side.s.allowed(side.bytes.unacknowledged)
            side.acknowledged(side.bytes.acknowledged + 1, now + 500)
            self.assertEqual(side.next_deadline(), due)
            side.bytes.hand_out(bytes(100), now + 500)
        side.tick(30_000)
        side.tick(40_000)
        self.assertEqual(ended(side), [Reason.WRITE_STALL])

    def test_time_does_not_go_back(self):
        """PW-TIM-002"""
        side = established(idle=10_000)
        receive(side, ping(1), 5_000)
        receive(side, ping(2), 1_000)
        self.assertGreaterEqual(side.heartbeat.idle_at, 13_000)

    def test_the_default_of_detect_within(self):
        """PW-HS-016: the peer's floor makes no difference to it."""
        for floor, end in ((6_666, []), (6_667, [Reason.INCOMPATIBLE_TIMERS])):
            side = Connection(Settings(idle=1_000, interval=60, probes=8), 0, KEY)
            hello = GREETING + pulsewire.item(pulsewire.PING_FLOOR, struct.pack(">I", floor))
            receive(side, pulsewire.packet(HELLO, hello, 0), 0)
            self.assertEqual(ended(side), end)
        self.assertEqual(Settings(idle=50_000).detect_within, 112_000)


class Counts(unittest.TestCase):
    def judge(self, *packets, sent=()):
        side = established(idle=60_000)
        for cls in sent:
            side.send(cls, False, b"")
        write(side, 0)
        for packet in packets:
            receive(side, packet, 0)
        return ended(side)

    def reject(self, ordinal, cls):
        return control(REJECT, ">QHB", ordinal, pulsewire.TOO_LARGE, cls)

    def test_reject(self):
        """PW-REJ-008"""
        reject, bad = self.reject, [Reason.BAD_COUNT]
        self.assertEqual(self.judge(reject(1, 0), reject(1, 2), reject(2, 0), sent=(0, 0, 2)), [])
        self.assertEqual(self.judge(reject(2, 2), sent=(0, 0, 2)), bad)             # above
        self.assertEqual(self.judge(reject(2, 0), reject(2, 0), sent=(0, 0)), bad)  # twice
        self.assertEqual(self.judge(reject(2, 0), reject(1, 0), sent=(0, 0)), bad)  # back
        self.assertEqual(self.judge(reject(0, 0), reject(0, 0), sent=(0, 0)), [])
        self.assertEqual(self.judge(reject(0, 2), reject(0, 2), sent=(0, 0, 2)), bad)  # more than begun
        self.assertEqual(self.judge(reject(1, 0), reject(0, 0), reject(1, 0), sent=(0, 0, 0)), bad)

    def test_received(self):
        """PW-CLS-019"""
        bad, reject = [Reason.BAD_COUNT], self.reject(0, 0)

        def drain(count):
            return control(DRAIN, ">Q", count)
        self.assertEqual(self.judge(reject, drain(1), sent=(0, 0)), [])
        self.assertEqual(self.judge(reject, drain(2), sent=(0, 0)), bad)
        self.assertEqual(self.judge(drain(1), reject, sent=(0, 0)), [])
        self.assertEqual(self.judge(drain(2), reject, sent=(0, 0)), bad)
        self.assertEqual(self.judge(control(CLOSE, ">HQI", 1, 3, 0), sent=(0, 0)), bad)

    def test_words_of_the_application(self):
        """PW-CLS-021, section 9.3"""
        side = established()
        side.close(Reason.FRAME_STALL, 0, text="ä" * 400)
        close = pulsewire.read_close(write(side, 0)[0][12:])
        self.assertEqual((close["reason"], close["text"]), (Reason.FRAME_STALL, "ä" * 247))
        side = established()
        side.close(300, 0)
        self.assertEqual(pulsewire.read_close(write(side, 0)[0][12:])["reason"], Reason.NORMAL)

    def test_closes_that_cross(self):
        """PW-CLS-002: who closed too does not half-close before CLOSE_ACK has come."""
        side = established()
        side.close(Reason.NORMAL, 0)
        write(side, 0)
        receive(side, control(CLOSE, ">HQI", 1, 0, 0), 0)
        self.assertEqual(kinds(write(side, 0)), [CLOSE_ACK])
        self.assertFalse(side.done_sending)
        receive(side, control(CLOSE_ACK, ">Q", 0), 0)
        self.assertTrue(side.done_sending)


if __name__ == "__main__":
    unittest.main()
