"""Goes through cells within a budget of seconds; everything that happens to a cell is recorded in it."""

import time
from dataclasses import dataclass, field

import result_file
from cell_process import Died, OutOfTime, Refused

FIRST_GUESS = {"forward": 30, "backward": 45}  # seconds of a cell before one of its kind is known
LONG_SEQLEN, LONG_FACTOR = 32768, 3  # beyond that length a guess is this many times as long


@dataclass
class Limits:
    budget: float  # seconds, from `started` on
    started: float  # of time.monotonic()
    cell_seconds: float  # a cell that takes longer hangs

    @property
    def deadline(self):
        return self.started + self.budget


@dataclass
class Outcome:
    there: int = 0  # cells that the file held already
    finished: int = 0
    left: list = field(default_factory=list)  # names
    bad: list = field(default_factory=list)  # (name, why): failed or wrong
    stopped: str = ""  # why cells are left
    out_of_time: bool = False  # whether that is the budget


class Expectation:
    """How long a cell will take: the longest of the last few of its kind."""

    def __init__(self):
        self._seconds = {}

    @staticmethod
    def _kind(cell):
        return cell.pass_, cell.seqlen > LONG_SEQLEN

    def learn(self, cell, seconds):
        self._seconds.setdefault(self._kind(cell), []).append(seconds)

    def of(self, cell):
        known = self._seconds.get(self._kind(cell))
        guess = FIRST_GUESS[cell.pass_] * (LONG_FACTOR if cell.seqlen > LONG_SEQLEN else 1)
        return max(known[-4:]) if known else guess


def complaints(record):
    """What of a record is not right: [(candidate or "", why)]."""
    if record["status"] == result_file.FAILED:
        return [("", record["error"])]
    return [(name, f"wrong result: {entry['checks']}") for name, entry in record["candidates"].items()
            if not entry.get("passed", True)]


class Schedule:
    def __init__(self, results, start_process, identify, limits, clock=time.monotonic, tell=print):
        """`start_process`() gives a CellProcess, `identify`(run) completes what it says of the run; `tell`(record) or
        `tell`(text)."""
        self._results, self._start, self._identify, self._limits = results, start_process, identify, limits
        self._clock, self._tell = clock, tell
        self._process = self._identity = None

    def run(self, cells, asked_of, retry=False):
        """Measures the cells that are missing, in their order; raises Refused if nothing can be measured here."""
        try:
            return self._run(cells, asked_of, retry)
        finally:
            if self._process:
                self._process.end()

    def _run(self, cells, asked_of, retry):
        outcome, expectation = Outcome(), Expectation()
        try:
            self._ensure_process()
        except (Died, OutOfTime) as error:
            raise Refused(f"the measuring process did not start: {error}") from error
        todo = [cell for cell in cells
                if not self._results.is_done(cell, asked_of(cell), self._identity, retry)]
        outcome.there = len(cells) - len(todo)
        for place, cell in enumerate(todo):
            self._attempt(cell, asked_of(cell), expectation, outcome)
            if outcome.stopped:
                outcome.left = [other.name for other in todo[place:]]
                break
        return outcome

    def _ensure_process(self):
        if self._process:
            return
        process = self._start()
        run = process.wait_until_ready(self._limits.deadline)
        self._process = process
        if self._identity is None:  # a process that comes after one that died belongs to the same run
            run = self._identify(run)
            self._results.start_run(run)
            self._identity = result_file.identity_of(run)
            self._tell(f"{run['gpu']['name']}, torch {run['torch']}, flashmask {run['library']} "
                       f"({run['gpu']['target']}), revision {run['revision']}")

    def _attempt(self, cell, asked, expectation, outcome):
        """Measures a cell and records it, or says in `outcome` why the schedule stops before or in it."""
        expected, left = expectation.of(cell), self._limits.deadline - self._clock()
        if expected > left:
            outcome.out_of_time = True
            outcome.stopped = f"{left:.0f} s of the budget are left, {cell.name} may take {expected:.0f} s"
            return
        started = self._clock()
        try:
            self._ensure_process()
        except (Died, OutOfTime, Refused) as error:
            outcome.stopped = f"the measuring process did not start again: {error}"
            return
        try:
            answer = self._process.measure({"cell": cell.as_json(), "asked": asked}, self._limits.cell_seconds,
                                           self._limits.deadline)
        except OutOfTime as error:
            self._process = None
            outcome.out_of_time = True
            outcome.stopped = f"the budget was spent in {cell.name} ({error})"
            return
        except Died as error:
            self._process, answer = None, {"failed": str(error)}
        if answer.get("dead"):
            self._process.end()
            self._process = None
        record = answer.get("record") or {
            "cell": cell.as_json(), "asked": asked, "status": result_file.FAILED, "error": answer["failed"],
            "seconds": round(self._clock() - started, 2)}
        if record["status"] == result_file.MEASURED:
            expectation.learn(cell, self._clock() - started)
        self._results.put(record)
        outcome.finished += 1
        outcome.bad += [(f"{cell.name} {name}".rstrip(), why) for name, why in complaints(record)]
        self._tell(record)
