"""The measuring process and its rounds, without torch: a kernel is a clock that moves."""

import json
import unittest
import unittest.mock

import gpu_timing
import measure_cells
from cells import Cell
from records import cell, record


class Clock:
    """A GPU on which a run takes as many microseconds as its candidate says, 10 more in every run."""

    def __init__(self):
        self.runs = []

    def microseconds(self, call, cold=True):
        return call()

    def candidate(self, name, first):
        clock = self
        class Candidate:
            def run(self):
                clock.runs.append(name)
                return first + 10 * clock.runs.count(name)
        return Candidate()


class Rounds(unittest.TestCase):
    def setUp(self):
        self.clock = Clock()

    def measure(self, names, microseconds, most_rounds, seconds):
        self.clock.runs.clear()
        return gpu_timing.interleaved(self.clock, {name: self.clock.candidate(name, microseconds) for name in names},
                                      most_rounds, seconds)

    def test_every_round_runs_each_candidate_once_in_an_order_of_its_own(self):
        rounds = self.measure("abc", 1000, 20, 10)
        self.assertEqual({name: len(times) for name, times in rounds.items()}, dict.fromkeys("abc", 20))
        last = self.clock.runs[-60:]
        orders = [tuple(last[n:n + 3]) for n in range(0, 60, 3)]
        self.assertTrue(all(set(order) == set("abc") for order in orders))
        self.assertGreater(len(set(orders)), 3)

    def test_slow_candidates_are_run_in_fewer_rounds_but_three(self):
        self.assertEqual(len(self.measure("ab", 50000, 31, 1.0)["a"]), 9)
        self.assertEqual(len(self.measure("ab", 5000000, 31, 1.0)["a"]), 3)

    def test_a_ratio_is_the_median_of_the_rounds_ratios(self):
        self.assertEqual(gpu_timing.speed_ratio([1.0, 20.0, 9.0], [1.0, 10.0, 3.0]), 2.0)


class FakeBench:
    def __init__(self, dies_in=None):
        self.dies_in, self.dead = dies_in, False
        self.torch = self.cuda = self

    def empty_cache(self):
        """As torch.cuda has it."""

    def is_dead(self):
        return self.dead

    def cell(self, wanted, asked):
        if wanted.mask == "document":
            raise MemoryError("CUDA out of memory\nat length")
        if wanted.mask == self.dies_in:
            self.dead = True
            raise RuntimeError("an illegal address")
        return record(wanted, tuple((name, 100.0) for name in asked))


class Serving(unittest.TestCase):
    def answers(self, bench, masks):
        answers = []
        requests = [json.dumps({"cell": cell(mask).as_json(), "asked": ["flashmask"]}) for mask in masks]
        measure_cells.serve(bench, requests, answers.append)
        return answers

    def test_an_error_of_a_cell_is_answered_and_the_next_cell_measured(self):
        failed, done = self.answers(FakeBench(), ["document", "causal"])
        self.assertEqual(failed, {"failed": "CUDA out of memory at length", "dead": False})
        self.assertEqual(Cell.from_json(done["record"]["cell"]), cell("causal"))

    def test_a_lost_gpu_ends_the_process_behind_its_answer(self):
        answers = self.answers(FakeBench("full"), ["causal", "full", "causal"])
        self.assertEqual(len(answers), 2)
        self.assertEqual(answers[1], {"failed": "an illegal address", "dead": True})

    def test_without_torch_nothing_is_measured_and_the_reason_says_so(self):
        with unittest.mock.patch.dict("sys.modules", torch=None):
            with self.assertRaisesRegex(RuntimeError, "PyTorch is needed"):
                measure_cells.open_bench({}, print)


if __name__ == "__main__":
    unittest.main()
