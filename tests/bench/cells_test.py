"""Which cells there are, in which order, and how many FLOPs they count."""

import argparse
import contextlib
import io
import os
import subprocess
import sys
import unittest

import candidates
import cells
import flex_masks
import paper_masks

COMPARE = os.path.join(os.path.dirname(os.path.abspath(cells.__file__)), "compare.py")


def planned(*arguments):
    parser = argparse.ArgumentParser()
    cells.add_options(parser)
    return [cell for _, cell in cells.planned(parser.parse_args(arguments))]


class Order(unittest.TestCase):
    def test_full_and_causal_of_16k_and_32k_at_d_128_come_first_forward_then_backward(self):
        first = planned()[:16]
        self.assertEqual({cell.mask for cell in first}, {"full", "causal"})
        self.assertEqual({cell.head_dim for cell in first}, {128})
        self.assertEqual({cell.seqlen for cell in first}, {16384, 32768})
        self.assertEqual([cell.pass_ for cell in first], ["forward"] * 8 + ["backward"] * 8)
        self.assertEqual({(cell.heads_q, cell.heads_kv) for cell in first}, {(64, 8), (32, 32)})

    def test_other_head_dims_come_next_then_other_lengths_then_masks_then_the_papers(self):
        order = planned()
        def first(predicate):
            return next(n for n, cell in enumerate(order) if predicate(cell))
        def last(predicate):
            return max(n for n, cell in enumerate(order) if predicate(cell))
        def usual(cell):
            return cell.batch == 1 and 16384 <= cell.seqlen <= 32768
        def dense(cell):
            return cell.mask in ("full", "causal")
        self.assertEqual(first(lambda cell: cell.head_dim != 128), 16)
        self.assertLess(last(lambda cell: usual(cell) and dense(cell) and cell.head_dim == 256),
                        first(lambda cell: cell.seqlen == 8192))
        self.assertLess(last(lambda cell: cell.batch == 1 and dense(cell) and cell.seqlen == 8192),
                        first(lambda cell: not dense(cell)))
        self.assertLess(last(lambda cell: cell.batch == 1 and cell.seqlen <= 32768),
                        first(lambda cell: cell.mask == "share-question"))
        self.assertGreater(first(lambda cell: cell.seqlen == 131072), last(lambda cell: cell.seqlen != 131072))

    def test_every_cell_comes_once_and_has_a_name_of_its_own(self):
        order = planned("--dtypes", "bf16,fp16")
        self.assertEqual(len(order), 2 * (2 * 5 * 3 * 3 * 2 + 2 * 12 * 2 * 3))
        self.assertEqual(len({cell.name for cell in order}), len(order))

    def test_the_full_mask_comes_before_the_masks_of_its_shape_whose_guard_needs_it(self):
        seen = set()
        for cell in planned():
            if cell.mask == "full":
                seen.add(cell.shape)
            self.assertIn(cell.shape, seen, cell.name)

    def test_the_papers_shapes_hold_128k_tokens_and_a_width_of_4096(self):
        for cell in planned("--shapes", "paper"):
            self.assertEqual((cell.batch * cell.seqlen, cell.heads_q * cell.head_dim), (131072, 4096), cell.name)
            self.assertEqual(cell.heads_q, cell.heads_kv)


class Selection(unittest.TestCase):
    def test_options_choose_by_pass_mask_head_dim_length_and_heads(self):
        order = planned("--passes", "backward", "--masks", "causal,document", "--head-dims", "128", "--seqlens",
                        "32768", "--heads", "32:32")
        self.assertEqual([cell.name for cell in order],
                         [f"backward {mask} bf16 d128 32768 b{batch} h32:32"
                          for batch in (1, 4) for mask in ("causal", "document")])

    def test_lengths_heads_and_masks_of_ones_own_make_cells_of_the_models_shapes_alone(self):
        order = planned("--passes", "forward", "--masks", "hash-sparse", "--head-dims", "96", "--seqlens", "2048",
                        "--heads", "16:2", "--tokens", "16384")
        self.assertEqual([cell.name for cell in order], ["forward hash-sparse bf16 d96 2048 b8 h16:2"])

    def test_a_seed_makes_other_cells(self):
        self.assertTrue(set(planned()).isdisjoint(planned("--seed", "2")))

    def test_what_cannot_be_a_cell_is_refused(self):
        for arguments in (["--masks", "spiral"], ["--heads", "12:5"], ["--heads", "32"], ["--seqlens", "0"],
                          ["--head-dims", "x"], ["--passes", ","]):
            with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()):
                planned(*arguments)

    def test_a_cell_survives_json(self):
        for cell in planned("--seed", "3")[:3]:
            self.assertEqual(cells.Cell.from_json(cell.as_json()), cell)
            self.assertIn("pass", cell.as_json())

    def test_the_list_needs_neither_torch_nor_a_gpu(self):
        program = ("import sys; sys.modules['torch'] = None; sys.argv[0] = 'compare.py'; "
                   f"sys.path.insert(0, {os.path.dirname(COMPARE)!r}); import compare; "
                   "sys.exit(compare.main(sys.argv[1:]))")
        done = subprocess.run([sys.executable, "-B", "-c", program, "--list", "--shapes", "model", "--masks", "full"],
                              capture_output=True, text=True, check=True)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[1], "   1 forward full bf16 d128 16384 b1 h64:8")
        self.assertEqual(lines[-1], "36 cells")


class Candidates(unittest.TestCase):
    def test_a_backward_also_asks_for_the_deterministic_kernel(self):
        forward, backward = (cells.Cell(pass_, "full", "bf16", 64, 128, 1, 1, 1) for pass_ in cells.PASSES)
        self.assertEqual(candidates.asked_for(forward, ["fa2"], []), ["flashmask", "fa2"])
        self.assertEqual(candidates.asked_for(backward, ["fa2"], []), ["flashmask", "flashmask deterministic", "fa2"])

    def test_a_configuration_is_asked_for_in_the_passes_that_it_names(self):
        cell = cells.Cell("backward", "full", "bf16", 64, 128, 1, 1, 1)
        configs = [candidates.config_option(text) for text in
                   ("backward:64x128,w8,s2,c2", "forward:128x64,w4,s2", "32x64,w4,s2,qreg")]
        asked = candidates.asked_for(cell, [], configs)
        self.assertEqual(asked[2:], ["flashmask 64x128,w8,s2,c2", "flashmask 32x64,w4,s2,qreg"])
        self.assertEqual([candidates.config_of(name) for name in asked],
                         [None, None, "64x128,w8,s2,c2", "32x64,w4,s2,qreg"])

    def test_a_configuration_that_is_none_is_refused(self):
        for text in ("128,64", "128x64", "sideways:128x64,w4,s2", "128x64 w4 s2"):
            with self.assertRaises(argparse.ArgumentTypeError):
                candidates.config_option(text)


class Flops(unittest.TestCase):
    def test_visible_pairs_and_visited_tiles_are_counted_as_loops_over_the_mask_do(self):
        n, tile_q, tile_k = 64, 16, 8
        for name in paper_masks.MASKS:
            mask = paper_masks.make(name, n)
            seen = [[mask.rule(i, j) for j in range(n)] for i in range(n)]
            for pass_, products in (("forward", 2), ("backward", 5)):
                cell = cells.Cell(pass_, name, "bf16", 24, n, 3, 6, 2)
                # One multiplication and one addition per element of a head, pair and product of matrices.
                every = 2 * products * cell.head_dim * cell.heads_q * cell.batch
                self.assertEqual(cell.flops(mask.visible_pairs()), every * sum(map(sum, seen)), cell.name)
                visited = sum(tile_q * tile_k for i in range(0, n, tile_q) for j in range(0, n, tile_k)
                              if any(any(row[j:j + tile_k]) for row in seen[i:i + tile_q]))
                counted = cells.counted_tiles(mask.tile_counts(tile_q, tile_k))
                self.assertEqual(cell.flops_of_tiles(counted), every * visited, cell.name)

    def test_flex_attention_is_given_the_mask_itself(self):
        for name in paper_masks.MASKS:
            for n in (64, 67):
                mask = paper_masks.make(name, n)
                mask_mod, _ = flex_masks.make(mask, list)
                for i in range(n):
                    for j in range(n):
                        seen = mask_mod is None or bool(mask_mod(None, None, i, j))
                        self.assertEqual(seen, mask.rule(i, j), f"{name}: row {i}, key {j}")


if __name__ == "__main__":
    unittest.main()
