#!/usr/bin/env python3
"""Makes a Markdown table and an SVG chart of a result of compare.py, next to it.

    python3 bench/report.py bench/results/h100.json     # h100.md, h100.svg

They show the cells of the revision and the GPU of the last run in the file.
"""

import json
import os
import sys
from xml.sax.saxutils import escape

import paper_masks
import published_figures
from candidates import DETERMINISTIC, OURS, PEERS, TITLES, is_ours
from result_file import FAILED, MEASURED, ResultFile, cell_of, identity_of

SERIES = (OURS, *PEERS)

# Geometry of the chart, in its own units.
LABELS, BARS, VALUES = 165, 440, 55  # widths
BAR, GAP, HEAD, FOOT = 9, 7, 46, 34  # heights: of a bar, between masks, above and below the bars of a panel

STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 14px }
.faint { fill: #57606a; font-size: 11px }
.grid { stroke: #d0d7de }
.flashmask { fill: #1f6feb }
.cudnn { fill: #2da44e }
.fa2 { fill: #8250df }
.flex { fill: #b35900 }
.dense { fill: #6e7781 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .faint { fill: #9198a1 }
  .grid { stroke: #3d444d }
  .flashmask { fill: #58a6ff }
  .cudnn { fill: #57ab5a }
  .fa2 { fill: #b083f0 }
  .flex { fill: #e3a04f }
  .dense { fill: #8b949e }
}
"""


def seqlen_text(n):
    return f"{n // 1024}K" if n % 1024 == 0 else str(n)


def time_text(microseconds):
    return f"{microseconds / 1000:.2f} ms" if microseconds >= 1000 else f"{microseconds:.0f} µs"


def rate_of(record, name, convention="visible_pairs"):
    """TFLOP/s, or None where it was not timed."""
    return record["candidates"].get(name, {}).get("tflops", {}).get(convention)


def grouped_by(records, key):
    """[(key, records)] in the order of the keys; masks in that of paper_masks."""
    groups = {}
    for record in records:
        groups.setdefault(key(cell_of(record)), []).append(record)
    masks = list(paper_masks.MASKS)
    return [(group, sorted(groups[group], key=lambda record: (record["cell"]["seqlen"], record["cell"]["batch"],
                                                             masks.index(record["cell"]["mask"]))))
            for group in sorted(groups)]


def by_table(cell):
    return cell.pass_ != "forward", cell.head_dim, cell.heads_q, cell.heads_kv, cell.dtype


def by_panel(cell):
    return (*by_table(cell), cell.seqlen, cell.batch)


def heading(cell):
    return f"{cell.pass_.capitalize()}, d = {cell.head_dim}, {cell.heads_q}:{cell.heads_kv} heads, {cell.dtype}"


# ---- Standard output ------------------------------------------------------------------------------------------------

def line_of(record):
    """A finished cell in a line."""
    line = f"{cell_of(record).name:<48}"
    if record["status"] == FAILED:
        return f"{line} FAILED: {record['error']}"
    if record["status"] != MEASURED:
        return f"{line} WRONG: {json.dumps(record['candidates'][OURS]['checks'])}"
    for name, entry in record["candidates"].items():
        if not entry.get("passed", True):
            line += f"  {name} WRONG"
        if "tflops" in entry:
            ratio = "" if name == OURS else f" (x{entry['flashmask_speed_ratio']:.2f})"
            line += f"  {name} {time_text(entry['times_us']['median'])} {entry['tflops']['visible_pairs']:.0f}{ratio}"
    line += f"  ceiling {record['ceiling']['tflops']:.0f}"
    if "guard" in record:
        line += f"  guard {record['guard']['time_to_limit']:.2f}"
    missing = "".join(f"  without {name}: {why[:60]}" for name, why in record["unavailable"].items())
    return f"{line}  ({record['seconds']:.0f} s){missing}"


# ---- Markdown -------------------------------------------------------------------------------------------------------

def own_rate_text(record):
    pairs, tiles = (rate_of(record, OURS, convention) for convention in ("visible_pairs", "visited_tiles"))
    return f"{pairs:.0f} ({tiles:.0f})"


def of_ceiling_text(record):
    shares = record["candidates"][OURS]["of_ceiling"]
    return f"{100 * shares['visible_pairs']:.0f} % ({100 * shares['visited_tiles']:.0f} %)"


def peer_text(record, name):
    rate = rate_of(record, name)
    if rate is None:
        return "–"
    return f"{rate:.0f} ({record['candidates'][name]['flashmask_speed_ratio']:.2f})"


def best_peer_text(record):
    best = record.get("best_peer")
    return f"{best['flashmask_speed_ratio']:.2f} {TITLES[best['name']]}" if best else "–"


def deterministic_text(record):
    entry = record["candidates"].get(DETERMINISTIC, {})
    return f"{entry['flashmask_speed_ratio']:.2f}" if "times_us" in entry else "–"


def build_text(record, name):
    return time_text(record["builds"][name]["gpu_warm_us"]["median"]) if name in record["builds"] else "–"


def guard_text(record):
    guard = record.get("guard")
    return f"{guard['time_to_limit']:.2f}{'' if guard['kept'] else ' **missed**'}" if guard else "–"


def published_text(record):
    figures = published_figures.of_cell(cell_of(record))
    return "; ".join(f"{rate} {source.label}" for source, rate in figures) or "–"


def peer_column(name):
    return TITLES[name], lambda record: peer_text(record, name)


COLUMNS = (
    ("mask", lambda record: record["cell"]["mask"]),
    ("length", lambda record: seqlen_text(record["cell"]["seqlen"])),
    ("batch", lambda record: str(record["cell"]["batch"])),
    ("form", lambda record: record["form"]),
    ("tiles", lambda record: f"{record['own_tiles']['tile_q']}×{record['own_tiles']['tile_k']}"),
    ("visible pairs", lambda record: f"{100 * record['density']:.1f} %"),
    ("visited tiles", lambda record: f"{100 * record['own_tiles']['visited_share']:.1f} %"),
    ("time", lambda record: time_text(record["candidates"][OURS]["times_us"]["median"])),
    ("TFLOP/s", own_rate_text),
    ("of the ceiling", of_ceiling_text),
    *(peer_column(name) for name in PEERS),
    ("× best peer", best_peer_text),
    ("deterministic", deterministic_text),
    ("plan", lambda record: build_text(record, "plan_of_one_mask")),
    ("block mask", lambda record: build_text(record, "block_mask")),
    ("guard", guard_text),
    ("published", published_text),
)
LEFT_COLUMNS = ("mask", "form", "published")


def table(records):
    """Rows of Markdown; columns in which no row says anything are left out."""
    rows = [[text(record) for _, text in COLUMNS] for record in records]
    kept = [n for n in range(len(COLUMNS)) if any(row[n] != "–" for row in rows)]
    titles = [COLUMNS[n][0] for n in kept]
    lines = ["| " + " | ".join(titles) + " |",
             "|" + "".join("---|" if title in LEFT_COLUMNS else "---:|" for title in titles)]
    return lines + ["| " + " | ".join(row[n] for n in kept) + " |" for row in rows]


def candidates_text(records):
    """Other configurations of ours, as a list."""
    lines = []
    for record in records:
        for name, entry in record["candidates"].items():
            if is_ours(name) and name not in (OURS, DETERMINISTIC) and "times_us" in entry:
                lines.append(f"* {cell_of(record).name}, {name[len(OURS) + 1:]}: "
                             f"{entry['tflops']['visible_pairs']:.0f} TFLOP/s, "
                             f"{entry['flashmask_speed_ratio']:.3f} times the default's time")
    return ["", "## Other configurations", "", *lines] if lines else []


def not_there_text(records):
    """What was not measured, and why, as a list."""
    lines = []
    for record in records:
        name = cell_of(record).name
        if record["status"] == FAILED:
            lines.append(f"* {name}: failed: {record['error']}")
            continue
        lines += [f"* {name}, {candidate}: wrong result: `{json.dumps(entry['checks'])}`"
                  for candidate, entry in record["candidates"].items() if not entry.get("passed", True)]
    reasons = {}
    for record in records:
        for candidate, why in record.get("unavailable", {}).items():
            reasons.setdefault((candidate, why), []).append(cell_of(record).name)
    lines += [f"* {TITLES.get(candidate, candidate)}: {why}: {len(names)} cells, as {names[0]}"
              for (candidate, why), names in reasons.items()]
    return ["", "## Not measured", "", *lines] if lines else []


def sources_text(records):
    used = {source for record in records for source, _ in published_figures.of_cell(cell_of(record))}
    if not used:
        return []
    return ["", "## Published figures", "", "TFLOP/s that others published; they were not measured here.", "",
            "| in the table | kernel | GPU | shape | counted | source |", "|---|---|---|---|---|---|",
            *(f"| {source.label} | {source.kernel} | {source.gpu} | {source.shape} | {source.convention} | "
              f"{source.where} |" for source in published_figures.SOURCES if source in used)]


def machine_text(run):
    gpu = run["gpu"]
    clocks = f", SM clock at most {gpu['clocks.max.sm']} MHz" if "clocks.max.sm" in gpu else ""
    return (f"{gpu['name']}, driver {gpu.get('driver_version', '?')}{clocks}; PyTorch {run['torch']}, cuDNN "
            f"{run['cudnn']}; {run['date']}; revision {run['revision']}.")


def markdown(runs, records, chart):
    measured = [record for record in records if record["status"] == MEASURED]
    lines = ["# Attention beside PyTorch's", ""]
    lines += [machine_text(runs[n]) for n in sorted({record["run"] for record in records})]
    lines += ["Medians of interleaved rounds, cold L2, N(0, 1) data.", "",
              "TFLOP/s by visible pairs, in brackets by the tiles of our kernel that are not empty; of the ceiling:",
              "their shares of an 8192³ matrix product of the same dtype, timed in the same rounds. Peers: TFLOP/s by",
              "visible pairs, in brackets how many times as fast as each ours is in the same rounds. Deterministic: how",
              "many times as long it takes. Plan and block mask: GPU time to build one mask, apart from the attention.",
              "Guard: time over 1.15 T(full) · visited / all tiles + 15 µs, to be at most 1. Published: of others, see",
              "below.",
              "", f"![TFLOP/s by visible pairs]({chart})"]
    for _, group in grouped_by(measured, by_table):
        lines += ["", f"## {heading(cell_of(group[0]))}", "", *table(group)]
    mods = {record["cell"]["mask"]: record["mask_mod"] for record in measured}
    lines += candidates_text(measured) + sources_text(measured) + not_there_text(records)
    lines += ["", "## FlexAttention's mask_mod", ""]
    lines += [f"* {mask}: `{mods[mask]}`" for mask in paper_masks.MASKS if mask in mods]
    return "\n".join(lines) + "\n"


# ---- SVG ------------------------------------------------------------------------------------------------------------

def nice_step(largest):
    """A round number of which about five make the axis."""
    return next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if 6 * step >= largest or step == 1000)


def bars(record):
    """[(name of the candidate, TFLOP/s)] of those that were timed."""
    return [(name, rate_of(record, name)) for name in SERIES if rate_of(record, name) is not None]


def panel(records, top, scale, step, largest):
    """(parts, height) of the bars of one shape: a group of bars per mask."""
    cell = cell_of(records[0])
    first, height = top + HEAD, sum(len(bars(record)) * BAR + GAP for record in records)
    ceiling = max(record["ceiling"]["tflops"] for record in records)
    parts = [f'<text class="title" x="0" y="{top + 16}">{escape(heading(cell))}</text>',
             f'<text class="faint" x="0" y="{top + 33}">{seqlen_text(cell.seqlen)} tokens, batch {cell.batch}; '
             f'8192³ matrix product: {ceiling:.0f} TFLOP/s</text>']
    value = 0
    while value <= largest:
        x = LABELS + value * scale
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{first - 4}" x2="{x:.1f}" y2="{first + height}"/>')
        parts.append(f'<text class="faint" x="{x:.1f}" y="{first + height + 14}" text-anchor="middle">{value}</text>')
        value += step
    y = first
    for record in records:
        mask = escape(record["cell"]["mask"])
        parts.append(f'<text x="{LABELS - 8}" y="{y + BAR + 4}" text-anchor="end">{mask}</text>')
        for name, rate in bars(record):
            width = rate * scale
            parts.append(f'<rect class="{name}" x="{LABELS}" y="{y}" width="{width:.1f}" height="{BAR - 1}">'
                         f'<title>{mask}, {TITLES[name]}: {rate:.0f} TFLOP/s</title></rect>')
            parts.append(f'<text class="faint" x="{LABELS + width + 4:.1f}" y="{y + BAR - 1}" '
                         f'style="font-size:9px">{rate:.0f}</text>')
            y += BAR
        y += GAP
    return parts, HEAD + height + FOOT


def svg(records):
    measured = [record for record in records if record["status"] == MEASURED]
    drawn = [bar for record in measured for bar in bars(record)]
    largest = max((rate for _, rate in drawn), default=1)
    scale, step = BARS / largest, nice_step(largest)
    parts, top = [], 60
    for _, group in grouped_by(measured, by_panel):
        parts_of_panel, height = panel(group, top, scale, step, largest)
        parts += parts_of_panel
        top += height
    title = "TFLOP/s by visible pairs"
    legend = [f'<text class="title" x="0" y="16">{title}</text>']
    for n, name in enumerate(name for name in SERIES if name in dict(drawn)):
        x = 130 * n
        legend += [f'<rect class="{name}" x="{x}" y="29" width="12" height="10"/>',
                   f'<text x="{x + 18}" y="38">{TITLES[name]}</text>']
    width = LABELS + BARS + VALUES
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 -6 {width + 20} {top + 6}" '
                      f'width="{width + 20}" height="{top + 6}" role="img">', f"<title>{title}</title>",
                      f"<style>{STYLE}</style>", *legend, *parts, "</svg>", ""])


def write(path):
    """Writes the table and the chart of a file of results beside it; their paths, none where it has no runs."""
    results = ResultFile(path)
    if not results.runs:
        return []
    records = results.of_identity(identity_of(results.runs[-1]))
    stem = os.path.splitext(path)[0]
    texts = {".md": markdown(results.runs, records, os.path.basename(stem) + ".svg"), ".svg": svg(records)}
    for suffix, text in texts.items():
        with open(stem + suffix, "w", encoding="utf-8") as file:
            file.write(text)
    return [stem + suffix for suffix in texts]


def main(arguments):
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.exit(__doc__.strip())
    for path in write(arguments[0]):
        print(path)


if __name__ == "__main__":
    main(sys.argv[1:])
