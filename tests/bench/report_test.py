"""What the table, the chart and the lines of a run say."""

import os
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

import published_figures
import report
from candidates import PEERS
from records import cell, record, run, times
from result_file import FAILED, ResultFile

SVG = "{http://www.w3.org/2000/svg}"


def rows_of(markdown, first):
    """The cells of the rows that begin with `first`."""
    lines = [line for line in markdown.splitlines() if line.startswith(f"| {first} |")]
    return [[part.strip() for part in line.strip("|").split("|")] for line in lines]


def titles_of(markdown):
    line = next(line for line in markdown.splitlines() if line.startswith("| mask |"))
    return [part.strip() for part in line.strip("|").split("|")]


class Table(unittest.TestCase):
    def setUp(self):
        self.results = ResultFile()
        self.results.start_run(run())

    def text(self):
        return report.markdown(self.results.runs, self.results.records, "a.svg")

    def row(self, mask):
        text = self.text()
        return dict(zip(titles_of(text), rows_of(text, mask)[0]))

    def test_a_row_has_both_conventions_shares_of_the_ceiling_ratios_and_the_guard(self):
        self.results.put(record(cell("full"), (("flashmask", 40000.0),), tiles=(128, 0, 0)))
        medians = (("flashmask", 20000.0), ("cudnn", 10000.0), ("fa2", 30000.0))
        self.results.put(record(cell(), medians, tiles=(64, 2, 62)))
        row, flops = self.row("causal"), 4 * 128 * 64 * 16384
        by_pairs, by_tiles = flops * 16385 / 2 / 2e10, flops * 16384 * 66 / 128 / 2e10
        self.assertEqual(row["TFLOP/s"], f"{by_pairs:.0f} ({by_tiles:.0f})")
        self.assertEqual(row["of the ceiling"], f"{by_pairs / 8:.0f} % ({by_tiles / 8:.0f} %)")
        self.assertEqual(row["cuDNN"], f"{2 * by_pairs:.0f} (0.50)")
        self.assertEqual(row["FlashAttention-2"], f"{by_pairs / 1.5:.0f} (1.50)")
        self.assertEqual(row["× best peer"], "0.50 cuDNN")
        self.assertEqual(row["guard"], f"{20000 / (1.15 * 40000 * 66 / 128 + 15):.2f}")
        self.assertEqual((row["length"], row["visited tiles"], row["time"]), ("16K", "51.6 %", "20.00 ms"))

    def test_a_guard_that_is_not_kept_is_pointed_out(self):
        self.results.put(record(cell("full"), (("flashmask", 1000.0),), tiles=(128, 0, 0)))
        self.results.put(record(cell(), (("flashmask", 1000.0),), tiles=(60, 4, 64)))
        self.assertEqual(self.row("causal")["guard"], f"{1000 / (575 + 15):.2f} **missed**")

    def test_published_figures_have_their_source_and_gpu_and_are_no_result(self):
        self.results.put(record(cell()))
        text = self.text()
        self.assertIn("673 cuDNN 9.19.1", self.row("causal")["published"])
        self.assertIn("| cuDNN 9.19.1 | cuDNN 9.19.1 | H200 |", text)
        self.assertNotIn("beat", text)
        self.assertNotIn("A100", text)

    def test_plans_block_masks_and_deterministic_kernels_have_columns_where_there_are_any(self):
        self.results.put(record(cell()))
        self.assertTrue({"plan", "block mask", "deterministic"}.isdisjoint(titles_of(self.text())))
        done = record(cell("document", "backward"), (("flashmask", 100.0), ("flashmask deterministic", 112.0)))
        done["builds"] = {"plan_of_one_mask": {"gpu_warm_us": times(14.0)},
                          "block_mask": {"gpu_warm_us": times(1600.0)}}
        self.results.put(done)
        row = dict(zip(next(line for line in self.text().splitlines() if "deterministic" in line and "|" in line)
                       .strip("| ").split(" | "), rows_of(self.text(), "document")[0]))
        self.assertEqual((row["plan"], row["block mask"], row["deterministic"]), ("14 µs", "1.60 ms", "1.12"))

    def test_what_was_not_measured_is_listed_with_the_reason(self):
        done = record(cell())
        done["unavailable"] = {"flex": "no C compiler"}
        self.results.put(done)
        self.results.put({"cell": cell("document").as_json(), "asked": [], "status": FAILED, "error": "out of memory"})
        text = self.text()
        self.assertIn(f"* {cell('document').name}: failed: out of memory", text)
        self.assertIn(f"* FlexAttention: no C compiler: 1 cells, as {cell().name}", text)

    def test_other_configurations_are_told_by_their_share_of_the_defaults_time(self):
        self.results.put(record(cell(), (("flashmask", 100.0), ("flashmask 64,64,4,2", 125.0))))
        self.assertIn("64,64,4,2: ", self.text())
        self.assertIn("1.250 times the default's time", self.text())

    def test_lines_tell_times_ratios_failures_and_wrong_results(self):
        done = record(cell())
        self.results.put(done)
        self.assertIn("cudnn 500 µs", report.line_of(done))
        self.assertIn("(x0.50)", report.line_of(done))
        failed = {"cell": cell().as_json(), "asked": [], "status": FAILED, "error": "out of memory", "seconds": 1}
        self.assertIn("FAILED: out of memory", report.line_of(failed))
        done["status"] = "wrong"
        done["candidates"]["flashmask"]["checks"] = [{"errors": [0.5], "bounds": [0.1]}]
        self.assertIn('WRONG: [{"errors": [0.5]', report.line_of(done))


class Files(unittest.TestCase):
    def test_table_and_chart_are_of_the_last_runs_revision_and_gpu(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.json")
            results = ResultFile(path)
            self.assertEqual(report.write(path), [])
            for revision, mask in (("old", "document"), ("new", "causal")):
                results.start_run(run(revision))
                results.put(record(cell(mask)))
            self.assertEqual(report.write(path), [os.path.join(folder, name) for name in ("a.md", "a.svg")])
            with open(os.path.join(folder, "a.md"), encoding="utf-8") as file:
                text = file.read()
            self.assertIn("revision new.", text)
            self.assertIn("![TFLOP/s by visible pairs](a.svg)", text)
            self.assertEqual((len(rows_of(text, "causal")), len(rows_of(text, "document"))), (1, 0))


class Chart(unittest.TestCase):
    def bars_of(self, records):
        root = ElementTree.fromstring(report.svg(records))
        box = [float(number) for number in root.get("viewBox").split()]
        bars = [rect for rect in root.iter(SVG + "rect") if rect.find(SVG + "title") is not None]
        for element in root.iter():
            if element.get("y") is not None:
                self.assertLessEqual(float(element.get("y")), box[1] + box[3])
        for rect in bars:
            self.assertLessEqual(float(rect.get("x")) + float(rect.get("width")), box[0] + box[2])
        return bars

    def test_every_rate_has_a_bar_as_long_as_it_is_large(self):
        records = [record(cell(), tuple((name, 1000.0 + 100 * n) for n, name in enumerate(("flashmask", *PEERS)))),
                   record(cell("document", "backward"), (("flashmask", 3000.0), ("flex", 1000.0)))]
        bars = self.bars_of(records)
        self.assertEqual([rect.get("class") for rect in bars], ["flashmask", *PEERS, "flashmask", "flex"])
        rates = [entry["tflops"]["visible_pairs"] for r in records for entry in r["candidates"].values()]
        scales = [float(rect.get("width")) / rate for rect, rate in zip(bars, rates)]
        self.assertLess(max(scales) - min(scales), 1e-3)
        self.assertEqual(len({rect.get("y") for rect in bars}), len(bars))

    def test_failed_cells_and_an_empty_result_have_no_bars(self):
        failed = {"cell": cell().as_json(), "asked": [], "status": FAILED, "error": "no"}
        self.assertEqual(self.bars_of([failed]), [])
        self.assertEqual(self.bars_of([]), [])


class Published(unittest.TestCase):
    def test_figures_stand_beside_cells_of_their_pass_mask_head_dim_length_and_kind_of_heads(self):
        def labels(of):
            return {source.label: rate for source, rate in published_figures.of_cell(of)}
        self.assertEqual(labels(cell("full", seqlen=32768))["cuDNN 9.19.1"], 693)
        self.assertEqual(labels(cell("causal", "backward", seqlen=32768))["FA3 in Magi's suite"], 585)
        self.assertEqual(labels(cell("full", head_dim=256, heads=(32, 32))), {"FA3": 756})
        self.assertEqual(labels(cell("random-eviction", "backward", seqlen=32768, heads=(32, 32))),
                         {"FlashMask V3": 540, "FlashMask, A100": 179})
        self.assertEqual(labels(cell("sliding-window", seqlen=16384)), {"FA3 in Magi's suite": 524, "FFA": 467})
        self.assertEqual(labels(cell("sliding-window", seqlen=32768)), {})
        self.assertEqual(labels(cell("hash-sparse")), {})

    def test_every_source_says_kernel_gpu_shape_and_convention_and_has_figures(self):
        for source in published_figures.SOURCES:
            for text in (source.label, source.kernel, source.gpu, source.shape, source.convention, source.where):
                self.assertTrue(text)
            self.assertTrue(any(key[0] is source for key in published_figures.FIGURES), source.label)
        self.assertTrue({key[0] for key in published_figures.FIGURES} <= set(published_figures.SOURCES))


if __name__ == "__main__":
    unittest.main()
