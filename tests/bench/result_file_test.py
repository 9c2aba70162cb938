"""What a file of results keeps, and what a second run finds in it."""

import json
import os
import tempfile
import unittest
import unittest.mock

from records import cell, record, run
from result_file import FAILED, WRONG, ResultFile, UnknownFile, cell_of, identity_of, source_identity

ASKED = ["flashmask", "cudnn"]


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "results", "a.json")

    def test_a_cell_is_done_for_its_revision_and_gpu_alone(self):
        first = ResultFile(self.path)
        first.start_run(run())
        first.put(record(cell()))
        again = ResultFile(self.path)
        self.assertTrue(again.is_done(cell(), ASKED, ("abc", "GPU A")))
        self.assertFalse(again.is_done(cell(), ASKED, ("abd", "GPU A")))
        self.assertFalse(again.is_done(cell(), ASKED, ("abc", "GPU B")))
        self.assertFalse(again.is_done(cell("full"), ASKED, ("abc", "GPU A")))

    def test_records_of_other_revisions_stay_and_those_of_the_same_are_replaced(self):
        results = ResultFile(self.path)
        for revision, time in (("abc", 1.0), ("abd", 2.0), ("abc", 3.0)):
            results.start_run(run(revision))
            results.put(record(cell(), (("flashmask", time),)))
        kept = {(identity_of(results.runs[r["run"]]), r["run"], r["candidates"]["flashmask"]["times_us"]["median"])
                for r in ResultFile(self.path).records}
        self.assertEqual(kept, {(("abd", "GPU A"), 1, 2.0), (("abc", "GPU A"), 2, 3.0)})

    def test_a_candidate_that_was_not_asked_for_before_makes_a_cell_undone(self):
        results = ResultFile()
        results.start_run(run())
        results.put(record(cell()))
        self.assertTrue(results.is_done(cell(), ["flashmask"], ("abc", "GPU A")))
        self.assertFalse(results.is_done(cell(), [*ASKED, "flex"], ("abc", "GPU A")))

    def test_failed_and_wrong_cells_are_measured_again_only_where_that_is_asked_for(self):
        results = ResultFile()
        results.start_run(run())
        for status in (FAILED, WRONG):
            results.put({"cell": cell().as_json(), "asked": ASKED, "status": status, "error": "no"})
            self.assertTrue(results.is_done(cell(), ASKED, ("abc", "GPU A")))
            self.assertFalse(results.is_done(cell(), ASKED, ("abc", "GPU A"), retry=True))
        results.put(record(cell()))
        self.assertTrue(results.is_done(cell(), ASKED, ("abc", "GPU A"), retry=True))

    def test_every_record_is_on_disk_at_once_and_nothing_else(self):
        results = ResultFile(self.path)
        results.start_run(run())
        for mask in ("full", "causal"):
            results.put(record(cell(mask)))
            with open(self.path, encoding="utf-8") as file:
                self.assertEqual(cell_of(json.load(file)["cells"][-1]), cell(mask))
            self.assertEqual(os.listdir(os.path.dirname(self.path)), ["a.json"])

    def test_files_of_other_programs_are_refused_and_left_as_they_are(self):
        os.makedirs(os.path.dirname(self.path))
        for text in ('{"schema": 1, "cells": []}', "[]", "no JSON"):
            with open(self.path, "w", encoding="utf-8") as file:
                file.write(text)
            with self.assertRaisesRegex(UnknownFile, "name another file"):
                ResultFile(self.path)
            with open(self.path, encoding="utf-8") as file:
                self.assertEqual(file.read(), text)

    def test_a_library_of_sources_without_a_revision_is_known_by_its_digest(self):
        identities = set()
        environment = {name: value for name, value in os.environ.items() if name != "FLASHMASK_REVISION"}
        for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
            path = os.path.join(self.folder.name, name)
            with open(path, "wb") as file:
                file.write(content)
            with unittest.mock.patch.dict(os.environ, environment, clear=True):
                identities.add(source_identity(path, self.folder.name))
        self.assertEqual(len(identities), 2)


class Guard(unittest.TestCase):
    def setUp(self):
        self.results = ResultFile()
        self.results.start_run(run())

    def guard_of(self, wanted):
        return self.results.find(wanted, ("abc", "GPU A")).get("guard")

    def test_a_mask_is_held_to_its_share_of_the_full_time_however_late_that_comes(self):
        self.results.put(record(cell("causal"), (("flashmask", 700.0),), tiles=(1, 1, 2)))
        self.assertIsNone(self.guard_of(cell("causal")))
        self.results.put(record(cell("full"), (("flashmask", 1000.0),), tiles=(4, 0, 0)))
        guard = self.guard_of(cell("causal"))
        self.assertAlmostEqual(guard["limit_us"], 1.15 * 1000 * 0.5 + 15)
        self.assertAlmostEqual(guard["time_to_limit"], 700 / 590)
        self.assertFalse(guard["kept"])
        self.results.put(record(cell("document"), (("flashmask", 589.0),), tiles=(1, 1, 2)))
        self.assertTrue(self.guard_of(cell("document"))["kept"])

    def test_a_full_mask_of_another_shape_pass_or_revision_judges_nothing(self):
        for other in (cell("full", seqlen=8192), cell("full", "backward"), cell("full", heads=(32, 32))):
            self.results.put(record(other))
        self.results.put(record(cell("causal")))
        self.assertIsNone(self.guard_of(cell("causal")))
        self.results.start_run(run("abd"))
        self.results.put(record(cell("full")))
        self.assertIsNone(self.guard_of(cell("causal")))


if __name__ == "__main__":
    unittest.main()
