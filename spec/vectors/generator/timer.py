"""A time limit that rests while a pause of the peer is honoured (PW-HB-020)."""


class Timer:
    """`left` milliseconds from `now` on; it rests for `rest_left` of them at most."""

    def __init__(self, now, left, rest_left):
        self.at, self.left, self.rest_left = now, left, rest_left

    def rest(self, until, pause_ends):
        """How much of the time up to `until` does not count."""
        if pause_ends is None:
            return 0
        return min(self.rest_left, max(0, min(until, pause_ends) - self.at))

    def advance(self, now, pause_ends):
        """Time passes; whoever calls this does so before the pause changes."""
        rested = self.rest(now, pause_ends)
        self.left -= now - self.at - rested
        self.rest_left -= rested
        self.at = now

    def ends(self, pause_ends):
        """When nothing is left, if the pause goes on as it is."""
        return self.at + self.left + self.rest(float("inf"), pause_ends)

    def restart(self, left):
        self.left = left
