#!/usr/bin/env python3
"""Makes a Markdown table and an SVG chart of a result of compare_masks.py, next to it.

    python3 bench/mask_report.py bench/results/masks_h200.json     # masks_h200.md, masks_h200.svg
"""

import json
import os
import sys
from xml.sax.saxutils import escape

ORDER = ("full", "causal", "sliding-window", "closed-window", "causal-document", "document", "share-question",
         "global-sliding-window", "causal-blockwise", "prefix-lm-document", "prefix-lm-causal", "qk-sparse",
         "random-eviction", "hash-sparse")
SERIES = (("flashmask", "FlashMask JIT"), ("flex", "FlexAttention"))

# Geometry of the chart, in its own units.
LABELS, BARS, VALUES = 165, 440, 55  # widths
BAR, GAP, HEAD, FOOT = 9, 7, 46, 34  # heights: of a bar, between masks, above and below the bars of a panel

STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 14px }
.faint { fill: #57606a; font-size: 11px }
.grid { stroke: #d0d7de }
.flashmask { fill: #1f6feb }
.flex { fill: #b35900 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .faint { fill: #9198a1 }
  .grid { stroke: #3d444d }
  .flashmask { fill: #58a6ff }
  .flex { fill: #e3a04f }
}
"""


def seqlen_text(n):
    return f"{n // 1024}K" if n % 1024 == 0 else str(n)


def by_shape(cells):
    """[((seqlen, head_dim), cells in the order of the masks)] of the cells that have times."""
    shapes = {}
    for cell in cells:
        if cell["times_us"]:
            shapes.setdefault((cell["seqlen"], cell["head_dim"]), []).append(cell)
    return [(shape, sorted(shapes[shape], key=lambda cell: ORDER.index(cell["mask"])))
            for shape in sorted(shapes, key=lambda shape: (-shape[1], shape[0]))]


# ---- Markdown -------------------------------------------------------------------------------------------------------

def time_text(microseconds):
    return f"{microseconds / 1000:.2f} ms" if microseconds >= 1000 else f"{microseconds:.0f} µs"


def rate_text(cell, name):
    if name not in cell["tflops"]:
        return "–"
    return f"{cell['tflops'][name]['visible_pairs']:.0f} ({cell['tflops'][name]['tiles_128']:.0f})"


def build_text(cell, name, clock="gpu_warm_us"):
    return time_text(cell["builds"][name][clock]["median"]) if name in cell["builds"] else "–"


def guard_text(cell):
    guard = cell.get("guard")
    return f"{guard['time_to_limit']:.2f}{'' if guard['kept'] else ' **missed**'}" if guard else "–"


def ratio_text(cell, name):
    return f"{cell['speed_ratio'][name]:.2f}" if name in cell["speed_ratio"] else "–"


COLUMNS = (
    ("mask", lambda cell: cell["mask"]),
    ("form", lambda cell: cell["form"]),
    ("tiles", lambda cell: f"{cell['own_tiles']['tile_q']}×{cell['own_tiles']['tile_k']}"),
    ("visible pairs", lambda cell: f"{100 * cell['density']:.1f} %"),
    ("visited tiles", lambda cell: f"{100 * cell['own_tiles']['visited_share']:.1f} %"),
    ("time", lambda cell: time_text(cell["times_us"]["flashmask"]["median"])),
    ("TFLOP/s", lambda cell: rate_text(cell, "flashmask")),
    ("Flex time", lambda cell: time_text(cell["times_us"]["flex"]["median"]) if "flex" in cell["times_us"] else "–"),
    ("Flex TFLOP/s", lambda cell: rate_text(cell, "flex")),
    ("× Flex", lambda cell: ratio_text(cell, "flex")),
    ("× dense SDPA", lambda cell: ratio_text(cell, "sdpa_dense")),
    ("plan", lambda cell: build_text(cell, "plan_of_one_mask")),
    ("block mask", lambda cell: build_text(cell, "block_mask compiled")),
    ("plain", lambda cell: build_text(cell, "block_mask plain")),
    ("guard", guard_text),
)


def markdown(content, chart):
    runs = {cell["run"] for cell in content["cells"]}
    machines = sorted({(run["gpu"]["name"], run["gpu"].get("driver_version", "?"), run["torch"])
                       for n, run in enumerate(content["runs"]) if n in runs})
    lines = ["# Forward of the paper's masks", ""]
    lines += [f"{name}, driver {driver}, PyTorch {torch}." for name, driver, torch in machines]
    lines += [f"Revision {content['revision']}; bf16, medians, cold L2, interleaved rounds, N(0, 1) data.", "",
              "TFLOP/s by visible pairs, in brackets by 128 × 128 tiles that are not empty. × Flex, × dense SDPA:",
              "how many times as fast as each in the same rounds. Plan and block mask: GPU time to build one mask,",
              "apart from the forward; the block mask by `torch.compile(create_block_mask)`, then plain, by",
              "`create_block_mask`. Guard: time over 1.15 T(full) · visited / all tiles + 15 µs, to be at most 1.", "",
              f"![TFLOP/s by visible pairs]({chart})", ""]
    for (seqlen, head_dim), cells in by_shape(content["cells"]):
        lines += [f"## {seqlen_text(seqlen)}, d = {head_dim}: batch {cells[0]['batch']}, {cells[0]['heads']} heads", "",
                  "| " + " | ".join(title for title, _ in COLUMNS) + " |",
                  "|---|---|---|" + "---:|" * (len(COLUMNS) - 3)]
        lines += ["| " + " | ".join(text(cell) for _, text in COLUMNS) + " |" for cell in cells]
        lines.append("")
    mods = {cell["mask"]: cell["flex"]["mask_mod"] for cell in content["cells"]}
    lines += ["## FlexAttention's mask_mod", ""]
    lines += [f"* {mask}: `{mods[mask]}`" for mask in ORDER if mask in mods]
    wrong = [cell for cell in content["cells"] if not cell["passed"]]
    if wrong:
        lines += ["", "## Not timed: the output was not the same", ""]
        lines += [f"* {cell['mask']}, {seqlen_text(cell['seqlen'])}, d = {cell['head_dim']}: "
                  f"`{json.dumps(cell['check'])}`" for cell in wrong]
    return "\n".join(lines) + "\n"


# ---- SVG ------------------------------------------------------------------------------------------------------------

def nice_step(largest):
    """A round number of which about five make the axis."""
    return next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if 6 * step >= largest or step == 1000)


def panel(shape, cells, top, scale, step, largest):
    (seqlen, head_dim), height = shape, len(cells) * (2 * BAR + GAP)
    first = top + HEAD
    parts = [f'<text class="title" x="0" y="{top + 16}">{seqlen_text(seqlen)} tokens, head dim {head_dim}</text>',
             f'<text class="faint" x="0" y="{top + 33}">batch {cells[0]["batch"]}, {cells[0]["heads"]} heads</text>']
    value = 0
    while value <= largest:
        x = LABELS + value * scale
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{first - 4}" x2="{x:.1f}" y2="{first + height}"/>')
        parts.append(f'<text class="faint" x="{x:.1f}" y="{first + height + 14}" text-anchor="middle">{value}</text>')
        value += step
    for row, cell in enumerate(cells):
        y = first + row * (2 * BAR + GAP)
        parts.append(f'<text x="{LABELS - 8}" y="{y + BAR + 4}" text-anchor="end">{escape(cell["mask"])}</text>')
        for n, (name, title) in enumerate(SERIES):
            if name not in cell["tflops"]:
                continue
            rate = cell["tflops"][name]["visible_pairs"]
            width = rate * scale
            parts.append(f'<rect class="{name}" x="{LABELS}" y="{y + n * BAR}" width="{width:.1f}" height="{BAR - 1}">'
                         f'<title>{escape(cell["mask"])}, {title}: {rate:.0f} TFLOP/s</title></rect>')
            parts.append(f'<text class="faint" x="{LABELS + width + 4:.1f}" y="{y + (n + 1) * BAR - 1}" '
                         f'style="font-size:9px">{rate:.0f}</text>')
    return parts, HEAD + height + FOOT


def svg(content):
    shapes = by_shape(content["cells"])
    rates = [rates["visible_pairs"] for _, cells in shapes for cell in cells
             for name, rates in cell["tflops"].items() if name in dict(SERIES)]
    largest = max(rates, default=1)
    scale, step = BARS / largest, nice_step(largest)
    parts, top = [], 40
    for shape, cells in shapes:
        drawn, height = panel(shape, cells, top, scale, step, largest)
        parts += drawn
        top += height
    legend = ['<text class="title" x="0" y="16">Forward, TFLOP/s by visible pairs</text>']
    for n, (name, title) in enumerate(SERIES):
        x = 300 + 150 * n
        legend += [f'<rect class="{name}" x="{x}" y="7" width="12" height="10"/>',
                   f'<text x="{x + 18}" y="16">{title}</text>']
    width = LABELS + BARS + VALUES
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 -6 {width + 20} {top + 6}" '
                      f'width="{width + 20}" height="{top + 6}" role="img">',
                      "<title>Forward of the paper's masks, TFLOP/s by visible pairs</title>",
                      f"<style>{STYLE}</style>", *legend, *parts, "</svg>", ""])


def main(arguments):
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.exit(__doc__.strip())
    with open(arguments[0], encoding="utf-8") as file:
        content = json.load(file)
    stem = os.path.splitext(arguments[0])[0]
    for suffix, text in ((".md", markdown(content, os.path.basename(stem) + ".svg")), (".svg", svg(content))):
        with open(stem + suffix, "w", encoding="utf-8") as file:
            file.write(text)
        print(stem + suffix)


if __name__ == "__main__":
    main(sys.argv[1:])
