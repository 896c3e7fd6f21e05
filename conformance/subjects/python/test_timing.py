"""Times that no conversation of a server shows: python3 -m unittest test_timing"""

import struct
import unittest

import pulsewire
from pulsewire import BUSY, DATA, FIRST, HELLO, PING, Connection, Reason, Settings
from test_vectors import HELLO as GREETING

KEY = 0x0A0B0C0D


def established(resync=True, **numbers):
    side = Connection(Settings(resync, **numbers), 0, KEY)
    receive(side, pulsewire.packet(HELLO, GREETING, 0), 0)
    side.taken(len(side.outgoing(0)), 0)
    side.events.clear()
    return side


def receive(side, data, now):
    side.receive(data, now)
    while side.step(now):
        pass


def busy(pause):
    return pulsewire.packet(BUSY, struct.pack(">I", pause), KEY)


def ping(number):
    return pulsewire.packet(PING, struct.pack(">Q", number), KEY)


class Timing(unittest.TestCase):
    def ended(self, side):
        return [event[1] for event in side.events if event[0] == "ended"]

    def test_frame_stall_counts_from_where_skipping_reached_the_packet(self):
        """PW-FRM-015"""
        side = established(idle=60_000, assembly_base=500, assembly_rate=1_000)
        receive(side, b"\0" * 11, 100)
        receive(side, b"\0" * 11, 300)  # skips 11 of them
        side.tick(815)
        self.assertEqual(self.ended(side), [])
        side.tick(816)
        self.assertEqual(self.ended(side), [Reason.FRAME_STALL])

    def test_bytes_of_a_trailer_are_evidence(self):
        """PW-HB-002"""
        side = established(idle=10_000)
        data = pulsewire.packet(DATA, b"", KEY, FIRST | pulsewire.CHECKSUM)
        receive(side, data[:12], 1_000)
        before = side.idle_at
        receive(side, data[12:14], 9_000)
        self.assertGreater(side.idle_at, before)
        self.assertGreaterEqual(side.idle_at, 9_000 + 8_000)

    def test_write_stall_judges_each_byte(self):
        """PW-CLS-015: the first byte of a packet is due before its last one."""
        side = established(idle=60_000, write_stall=800, assembly_rate=1_000)
        side.send(0, False, b"m" * 1_000)
        side.outgoing(100)
        side.progress_at = 10_000  # as if the transport were taking something all the time
        self.assertEqual(side.next_deadline(), 100 + 800 + 1)

    def test_pauses_that_follow_each_other_end_together(self):
        """PW-HB-021"""
        side = established(idle=60_000, busy_max=2_000)
        receive(side, busy(1_500), 1_000)
        receive(side, busy(1_500), 2_400)
        self.assertEqual(side.next_deadline(), 3_000)
        side.tick(3_000)
        silence = side.idle_at
        receive(side, busy(1_500), 3_500)  # neither evidence nor a pause
        self.assertEqual((side.pause_until, side.idle_at), (None, silence))
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
        self.assertGreaterEqual(side.idle_at, 50_000 + 8_000)

    def test_close_ends_a_pause(self):
        """PW-HB-024"""
        side = established()
        side.pause(100)
        side.taken(len(side.outgoing(100)), 100)
        side.close(Reason.NORMAL, 200)
        out = bytes(side.outgoing(200))
        self.assertEqual((out[2], out[12:16], out[18]), (BUSY, bytes(4), pulsewire.CLOSE))
        self.assertFalse(side.paused)

    def test_a_late_wait_uses_up_what_it_took_longer(self):
        """PW-HB-013, PW-HB-016: E stays below extension_max, the wait that was late included."""
        side = established(idle=1_000, interval=1_000, probes=3, extension_max=500)
        side.srtt, side.rttvar = 1_400, 0
        probe = side.idle_at
        side.tick(probe)
        side.taken(len(side.outgoing(probe)), probe)
        self.assertEqual(side.wait_at, probe + 1_400)
        side.tick(probe + 5_000)
        side.taken(len(side.outgoing(probe + 5_000)), probe + 5_000)
        self.assertEqual(side.wait_at, probe + 6_100)

    def test_an_answer_behind_busy_measures_nothing(self):
        """PW-HB-013, section 8.3: also where the transport had not taken the PING when BUSY came."""
        side = established(idle=1_000, interval=1_000)
        probe = side.idle_at
        side.tick(probe)
        out = side.outgoing(probe)
        receive(side, busy(500), probe + 100)
        side.taken(len(out), probe + 200)
        receive(side, pulsewire.packet(pulsewire.PONG, struct.pack(">Q", 1), KEY), probe + 700)
        self.assertIsNone(side.srtt)


if __name__ == "__main__":
    unittest.main()
