"""What happens to cells within a budget, whatever happens to the process that measures them."""

import contextlib
import io
import os
import sys
import tempfile
import time
import unittest
import unittest.mock

from cell_process import CellProcess, OutOfTime, Refused
from records import cell, record, run
from result_file import FAILED, MEASURED, WRONG, ResultFile, cell_of
from schedule import FIRST_GUESS, Limits, Schedule

HERE = os.path.dirname(os.path.abspath(__file__))
IDENTITY = ("abc", "GPU A")


def asked_of(_cell):
    return ["flashmask", "cudnn"]


def identify(what_it_says):
    return {**what_it_says, "revision": "abc"}


class FakeClock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class FakeProcess:
    """Takes the seconds that `costs` has for each cell's mask."""

    def __init__(self, clock, costs):
        self.clock, self.costs, self.ended, self.measured = clock, costs, False, []

    def wait_until_ready(self, deadline):
        return run()

    def measure(self, request, limit_seconds, deadline):
        mask = request["cell"]["mask"]
        self.clock.now += self.costs[mask]
        if self.clock.now > deadline:
            self.ended = True
            raise OutOfTime("rounds")
        self.measured.append(mask)
        return {"record": record(cell(mask))}

    def end(self):
        self.ended = True


class Budget(unittest.TestCase):
    MASKS = ("full", "causal", "sliding-window", "document")

    def run_with(self, budget, costs, results):
        clock = FakeClock()
        process = FakeProcess(clock, costs)
        schedule = Schedule(results, lambda: process, identify, Limits(budget, clock.now, 1000), clock,
                            tell=lambda news: None)
        outcome = schedule.run([cell(mask) for mask in self.MASKS], asked_of)
        self.assertTrue(process.ended)
        return outcome, process, clock.now - 100

    def test_a_run_stops_before_a_cell_that_would_not_fit_and_the_next_goes_on_with_it(self):
        results = ResultFile()
        outcome, process, spent = self.run_with(75, dict.fromkeys(self.MASKS, 30), results)
        self.assertEqual((process.measured, spent), (["full", "causal"], 60))
        self.assertEqual((outcome.there, outcome.finished, outcome.left),
                         (0, 2, [cell("sliding-window").name, cell("document").name]))
        self.assertTrue(outcome.out_of_time)
        outcome, process, _ = self.run_with(1000, dict.fromkeys(self.MASKS, 30), results)
        self.assertEqual(process.measured, ["sliding-window", "document"])
        self.assertEqual((outcome.there, outcome.finished, outcome.left, outcome.stopped), (2, 2, [], ""))
        self.assertEqual({cell_of(r) for r in results.records}, {cell(mask) for mask in self.MASKS})

    def test_cells_that_turn_out_quick_are_expected_to_stay_so(self):
        _, process, spent = self.run_with(50, dict.fromkeys(self.MASKS, 5), ResultFile())
        self.assertEqual((len(process.measured), spent), (4, 20))

    def test_cells_that_turn_out_slow_are_expected_to_stay_so(self):
        _, process, _ = self.run_with(150, {**dict.fromkeys(self.MASKS, 5), "causal": 90}, ResultFile())
        self.assertEqual(process.measured, ["full", "causal"])

    def test_nothing_begins_where_the_budget_is_less_than_a_first_guess(self):
        outcome, process, spent = self.run_with(20, dict.fromkeys(self.MASKS, 5), ResultFile())
        self.assertEqual((process.measured, spent, len(outcome.left)), ([], 0, 4))

    def test_a_cell_in_which_the_budget_ends_is_not_recorded(self):
        results = ResultFile()
        outcome, _, _ = self.run_with(100, {**dict.fromkeys(self.MASKS, 5), "causal": 200}, results)
        self.assertEqual([cell_of(r).mask for r in results.records], ["full"])
        self.assertEqual(outcome.left, [cell(mask).name for mask in self.MASKS[1:]])
        self.assertIn("the budget was spent in " + cell("causal").name, outcome.stopped)


class Processes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.log = os.path.join(folder.name, "log")
        self.results = ResultFile(os.path.join(folder.name, "a.json"))

    def run_cells(self, masks, *mode, cell_seconds=60.0, budget=600.0, retry=False):
        command = [sys.executable, "-B", os.path.join(HERE, "fake_measuring.py"), self.log, *mode]
        self.news = []
        schedule = Schedule(self.results, lambda: CellProcess(command), identify,
                            Limits(budget, time.monotonic(), cell_seconds), tell=self.news.append)
        with contextlib.redirect_stderr(io.StringIO()) as self.errors:
            return schedule.run([cell(mask) for mask in masks], asked_of, retry)

    def logged(self):
        with open(self.log, encoding="utf-8") as file:
            return file.read().split()

    def of(self, mask):
        return self.results.find(cell(mask), IDENTITY)

    def test_cells_are_measured_in_order_by_one_process_and_a_second_run_measures_none(self):
        outcome = self.run_cells(["full", "causal"])
        self.assertEqual(self.logged(), ["start", "full", "causal"])
        self.assertEqual((outcome.there, outcome.finished, outcome.left, outcome.bad), (0, 2, [], []))
        outcome = self.run_cells(["full", "causal"])
        self.assertEqual(self.logged(), ["start", "full", "causal", "start"])
        self.assertEqual((outcome.there, outcome.finished), (2, 0))

    def test_an_error_is_recorded_in_its_cell_and_the_same_process_goes_on(self):
        outcome = self.run_cells(["document", "causal"])
        self.assertEqual(self.logged(), ["start", "document", "causal"])
        self.assertEqual((self.of("document")["status"], self.of("causal")["status"]), (FAILED, MEASURED))
        self.assertEqual(self.of("document")["error"], "flashmask: no such kernel; last: first run of flashmask")
        self.assertEqual([name for name, _ in outcome.bad], [cell("document").name])

    def test_a_process_that_lost_its_gpu_or_its_life_costs_one_cell(self):
        outcome = self.run_cells(["share-question", "full", "qk-sparse", "hash-sparse", "causal"])
        self.assertEqual(self.logged(), ["start", "share-question", "start", "full", "qk-sparse", "start",
                                         "hash-sparse", "start", "causal"])
        self.assertEqual(outcome.finished, 5)
        self.assertIn("an illegal address", self.of("share-question")["error"])
        self.assertIn("ended with code 7; last: first run of flashmask; it wrote: Fatal: something broke",
                      self.of("qk-sparse")["error"])
        self.assertIn("ended by signal 11", self.of("hash-sparse")["error"])
        self.assertEqual(len(self.results.runs), 1)
        self.assertIn("something broke", self.errors.getvalue())

    def test_a_process_that_hangs_is_ended_and_costs_one_cell(self):
        self.run_cells(["random-eviction", "causal"], cell_seconds=1.0)
        self.assertEqual(self.of("random-eviction")["error"],
                         "no answer within 1 s; last: first run of flashmask")
        self.assertEqual(self.of("causal")["status"], MEASURED)

    def test_the_budget_ends_a_process_that_hangs(self):
        with unittest.mock.patch.dict(FIRST_GUESS, forward=0.1):
            outcome = self.run_cells(["random-eviction", "causal"], budget=3.0, cell_seconds=600.0)
        self.assertIsNone(self.of("random-eviction"))
        self.assertTrue(outcome.out_of_time)
        self.assertEqual(len(outcome.left), 2)

    def test_what_a_library_prints_between_the_answers_is_no_answer(self):
        self.run_cells(["causal-blockwise"])
        self.assertEqual(self.of("causal-blockwise")["status"], MEASURED)

    def test_a_wrong_result_is_recorded_and_told(self):
        outcome = self.run_cells(["prefix-lm-causal"])
        self.assertEqual(self.of("prefix-lm-causal")["status"], WRONG)
        self.assertEqual([name for name, _ in outcome.bad], [cell("prefix-lm-causal").name + " flashmask"])

    def test_failed_cells_are_tried_again_only_if_that_is_asked_for(self):
        self.run_cells(["document"])
        self.run_cells(["document"])
        self.assertEqual(self.logged().count("document"), 1)
        self.run_cells(["document"], retry=True)
        self.assertEqual(self.logged().count("document"), 2)

    def test_where_nothing_can_be_measured_the_reason_is_told_and_nothing_recorded(self):
        with self.assertRaisesRegex(Refused, "torch sees no GPU"):
            self.run_cells(["causal"], "refuse")
        with self.assertRaisesRegex(Refused, "did not start: the process ended with code 3"):
            self.run_cells(["causal"], "die-at-start-after", "0")
        self.assertEqual(self.results.runs, [])

    def test_a_process_that_does_not_start_again_ends_the_run_with_cells_left(self):
        outcome = self.run_cells(["full", "qk-sparse", "causal"], "die-at-start-after", "1")
        self.assertEqual((outcome.finished, outcome.left), (2, [cell("causal").name]))
        self.assertIn("did not start again", outcome.stopped)
        self.assertFalse(outcome.out_of_time)


if __name__ == "__main__":
    unittest.main()
