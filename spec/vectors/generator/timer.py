"""A time limit that rests while the peer pauses (PW-HB-020)."""


class Allowance:
    """Milliseconds that limits may rest in all, from `now` on."""

    def __init__(self, now, left):
        self.at, self.left = now, left

    def rest(self, until, pause_ends):
        """How much of the time up to `until` does not count."""
        if pause_ends is None:
            return 0
        return min(self.left, max(0, min(until, pause_ends) - self.at))

    def advance(self, now, pause_ends):
        """Time passes; whoever calls this does so before the pause changes. Gives how much of it did not count."""
        rested = self.rest(now, pause_ends)
        self.left -= rested
        self.at = now
        return rested


class Timer:
    """`left` milliseconds from `now` on, which rests as its allowance says."""

    def __init__(self, now, left, allowance):
        self.at, self.left, self.allowance = now, left, allowance

    def advance(self, now, rested):
        """Time passes, of which so much does not count."""
        self.left -= now - self.at - rested
        self.at = now

    def ends(self, pause_ends):
        """When nothing is left, if the pause goes on as it is."""
        return self.at + self.left + self.allowance.rest(float("inf"), pause_ends)

    def restart(self, left):
        self.left = left
