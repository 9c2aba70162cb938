"""Times on the GPU's clock: interleaved rounds of candidates, and the building of plans and block masks."""

import random
import statistics
import time

LAUNCH_CYCLES, BUILD_CYCLES = 1 << 20, 1 << 25  # that the host has to enqueue an attention, or to build a mask


class Clock:
    """Times one call with a cold L2. The flush and `lead_cycles` of waiting keep the GPU busy while the host enqueues
    the call, so that the events enclose the kernels and not the host."""

    def __init__(self, torch, lead_cycles):
        self.torch, self.lead_cycles = torch, lead_cycles
        l2 = torch.cuda.get_device_properties(torch.cuda.current_device()).L2_cache_size
        self.flush = torch.empty(max(256 << 20, 4 * l2) // 4, dtype=torch.int32, device="cuda")

    def microseconds(self, call, cold=True):
        start, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        if cold:
            self.flush.zero_()
        self.torch.cuda._sleep(self.lead_cycles)
        start.record()
        call()
        end.record()
        end.synchronize()
        return 1000 * start.elapsed_time(end)


def summary(times_us):
    return {"median": statistics.median(times_us), "min": min(times_us), "rounds": len(times_us),
            "all": [round(t, 3) for t in times_us]}


def interleaved(clock, candidates, most_rounds, seconds):
    """{name: microseconds of each round}; as many rounds as fit into about `seconds`, at least 3."""
    names = list(candidates)
    once = sum(clock.microseconds(candidates[name].run) for name in names) / 1e6
    for _ in range(max(1, min(10, int(seconds / 4 / once)))):  # until the clocks have settled
        for name in names:
            clock.microseconds(candidates[name].run)
    rounds = {name: [] for name in names}
    for turn in range(max(3, min(most_rounds, int(seconds / once)))):
        # In another order every time: a candidate also feels how hot its predecessor left the GPU.
        for name in random.Random(turn).sample(names, len(names)):
            rounds[name].append(clock.microseconds(candidates[name].run))
    return rounds


def of_build(torch, clock, build, rounds):
    """Microseconds of building a plan or a block mask: on the GPU, after a flush of the L2 and without one; and on the
    host's clock, until the GPU is done."""
    for _ in range(2):
        build()
    times = {"gpu_cold_us": [], "gpu_warm_us": [], "wall_us": []}
    for _ in range(rounds):
        times["gpu_cold_us"].append(clock.microseconds(build))
        build()
        times["gpu_warm_us"].append(clock.microseconds(build, cold=False))
        torch.cuda.synchronize()
        start = time.perf_counter()
        build()
        torch.cuda.synchronize()
        times["wall_us"].append(1e6 * (time.perf_counter() - start))
    return {name: summary(values) for name, values in times.items()}


def speed_ratio(theirs, ours):
    """How many times as fast ours is: the median of the rounds' ratios."""
    return statistics.median(their_time / our_time for their_time, our_time in zip(theirs, ours))
