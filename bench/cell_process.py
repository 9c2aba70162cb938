"""The process that measures cells, seen from outside: a kernel that hangs or kills its process costs one cell.

It is told a request per line and answers in lines, all of them JSON: {"ready": run} or {"refused": why} once, then for
every request {"doing": what} as often as it likes, and {"record": record} or {"failed": why} with "dead": true if it
ends behind it.
"""

import collections
import json
import queue
import subprocess
import sys
import threading
import time

START_SECONDS = 180  # to import torch and to open the GPU
END_SECONDS = 20
LAST_LINES = 6  # of standard error that a failure quotes


class Refused(Exception):
    """The process cannot measure anything here, and says why."""


class Died(Exception):
    """The process ended, or had to be ended; a new one can go on with other cells."""


class OutOfTime(Exception):
    """The deadline passed; the process was ended."""


class CellProcess:
    def __init__(self, command, clock=time.monotonic):
        """Starts `command`. What it writes to standard error goes through to ours."""
        self._clock = clock
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       text=True, errors="replace")
        self._answers = queue.Queue()
        self._last_lines = collections.deque(maxlen=LAST_LINES)
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_answers, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read_answers(self):
        for line in self._child.stdout:
            try:
                self._answers.put(json.loads(line))
            except ValueError:
                self._last_lines.append(line.rstrip())
        self._answers.put(None)

    def _read_errors(self):
        for line in self._child.stderr:
            self._last_lines.append(line.rstrip())
            sys.stderr.write(line)

    def wait_until_ready(self, deadline):
        """What the process says of the run; raises Refused, Died or OutOfTime."""
        answer = self._answer(START_SECONDS, deadline, "starting")
        if "refused" in answer:
            self.end()
            raise Refused(answer["refused"])
        return answer["ready"]

    def measure(self, request, limit_seconds, deadline):
        """The answer with "record" or "failed"; raises Died or OutOfTime."""
        try:
            self._child.stdin.write(json.dumps(request) + "\n")
            self._child.stdin.flush()
        except OSError:
            pass  # it has ended; the answers end too
        return self._answer(limit_seconds, deadline, "no progress told")

    def _answer(self, limit_seconds, deadline, doing):
        limit = self._clock() + limit_seconds
        while True:
            try:
                answer = self._answers.get(timeout=max(0.01, min(limit, deadline) - self._clock()))
            except queue.Empty:
                self.kill()
                if deadline <= limit:
                    raise OutOfTime(doing) from None
                raise Died(f"no answer within {limit_seconds:.0f} s; last: {doing}") from None
            if answer is None:
                code = self._wait()
                raise Died(f"{self._cause(code)}; last: {doing}{self._quotation()}")
            if "failed" in answer:
                answer["failed"] += f"; last: {doing}"
            if "doing" not in answer:
                return answer
            doing = answer["doing"]

    @staticmethod
    def _cause(code):
        return f"the process was ended by signal {-code}" if code < 0 else f"the process ended with code {code}"

    def _wait(self):
        """The exit code; what it wrote to standard error has been read then."""
        try:
            code = self._child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            code = self._child.wait()
        for reader, stream in zip(self._readers, (self._child.stdout, self._child.stderr)):
            reader.join(1)  # a compiler that it started may live on and hold its standard error
            if not reader.is_alive():
                stream.close()
        self._close_requests()
        return code

    def _close_requests(self):
        try:
            self._child.stdin.close()
        except OSError:
            pass  # the end of a request that nobody reads

    def _quotation(self):
        return "; it wrote: " + " | ".join(self._last_lines) if self._last_lines else ""

    def end(self):
        """Lets the process end by itself, or ends it."""
        self._close_requests()
        self._wait()

    def kill(self):
        self._child.kill()
        self._wait()
