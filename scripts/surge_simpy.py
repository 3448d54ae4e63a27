#!/usr/bin/env python3
"""The surge on a fifo as one writes it with SimPy: a process a droplet, a process for the
worker, a store for the queue. scripts/bench-sim runs it, where SimPy is installed, as a
yardstick of speed from another language. An event is a droplet's attempt or a service's
end, as in the other engines; setting the droplets up is not timed.

    surge_simpy.py [--leases N] [--broken B] [--seed N]
"""
import argparse
import random
import time

import simpy

TIMEOUT, INTERVAL, TTL, SPREAD = 1.0, 20.0, 60.0, 0.1
RHO, SIGMA, OUTAGE, BACK, END = 0.25, 4, 1.0, 2.0, 10.0


class Attempt:
    __slots__ = ("born", "droplet", "establish", "epoch", "done")

    def __init__(self, env, droplet, establish):
        self.born, self.droplet, self.establish = env.now, droplet, establish
        self.epoch, self.done = droplet.epoch, env.event()


class Droplet:
    __slots__ = ("until", "held", "epoch")

    def __init__(self, until):
        self.until, self.held, self.epoch = until, True, 0


class Surge:
    def __init__(self, leases, broken, seed):
        self.env, self.events, self.good, self.late = simpy.Environment(), 0, 0, 0
        self.queue = simpy.Store(self.env)
        self.rng = random.Random(seed)
        self.check = RHO * INTERVAL / leases
        lost = set(self.rng.sample(range(leases), broken))
        self.env.process(self.worker())
        for i in range(leases):
            if i in lost:
                self.env.process(self.droplet(OUTAGE, BACK + self.rng.uniform(0, SPREAD)))
            else:
                first = self.rng.uniform(0, INTERVAL)
                self.env.process(self.droplet(first - INTERVAL + TTL, first))

    def droplet(self, until, first):
        d, env = Droplet(until), self.env
        yield env.timeout(first)
        while True:
            self.events += 1
            d.held = d.held and d.until > env.now
            a = Attempt(env, d, not d.held)
            yield self.queue.put(a)
            yield a.done | env.timeout(TIMEOUT)
            if a.done.triggered:
                yield env.timeout(self.rng.uniform(0, INTERVAL) if a.establish else a.born + INTERVAL - env.now)

    def worker(self):
        env = self.env
        while True:
            a = yield self.queue.get()
            yield env.timeout(self.check * (SIGMA if a.establish else 1))
            self.events += 1
            d = a.droplet
            if env.now >= a.born + TIMEOUT or a.epoch != d.epoch or not a.establish and d.until <= env.now:
                self.late += 1
                continue
            if a.establish:
                self.good += 1
                d.epoch, d.held = d.epoch + 1, True
            d.until = env.now + TTL
            a.done.succeed()


def main():
    p = argparse.ArgumentParser(description="The surge on a fifo, with SimPy.")
    p.add_argument("--leases", type=int, default=100_000)
    p.add_argument("--broken", type=int, default=10_000)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    if not 0 <= a.broken <= a.leases or a.leases < 1:
        p.error(f"--broken {a.broken} of --leases {a.leases}: want 0 to the leases, and one lease at least")
    s = Surge(a.leases, a.broken, a.seed)
    began = time.perf_counter()
    s.env.run(until=END)
    took = time.perf_counter() - began
    print(f"SimPy {simpy.__version__}, {a.leases} leases, {a.broken} broken: {s.events} events in {took:.1f} s, "
          f"{s.events / took / 1e6:.3f} million events/s; {s.good} good establishes, {s.late} late")


main()
