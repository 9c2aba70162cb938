"""Prints what exported answers of tuning (flashmask tune export) gain over the defaults: a table and its mean.

    python3 bench/tuning_table.py runtime/tune/shipped/nvidia_h100_80gb_hbm3.json

A cell is the default's time over the tuned one's, of the same interleaved rounds; 1.00 where the default stays.
"""

import json
import math
import sys


def name_of(record):
    descriptor = record["descriptor"]
    return f"{descriptor['pass']} d{descriptor['head_dim_qk']} {descriptor['mask_form']}"


def column_of(record):
    bucket = record["bucket"]
    return f"{bucket['seqlen_q'] // 1024}K {bucket['density']}"


def table(records):
    columns = sorted({column_of(record) for record in records}, key=lambda name: (int(name.split("K")[0]), name))
    rows = {}
    for record in records:
        rows.setdefault(name_of(record), {})[column_of(record)] = record["default_seconds"] / record["seconds"]
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for name in sorted(rows, key=lambda name: (not name.startswith("forward"), name)):
        cells = (f"{rows[name][column]:.2f}" if column in rows[name] else "" for column in columns)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        records = json.load(file)["records"]
    gains = [record["default_seconds"] / record["seconds"] for record in records]
    mean = math.exp(sum(map(math.log, gains)) / len(gains))
    kept = sum(record["config"] == record["default_config"] for record in records)
    print(table(records))
    print(f"\n{len(records)} buckets; geometric mean {mean:.3f}, at most {max(gains):.2f}; the default stays in {kept}")


if __name__ == "__main__":
    main()
