"""The file that a comparison appends to: what was measured in which run, and what is missing.

    {"schema": 2, "tool": ..., "runs": [run, ...], "cells": [record, ...]}

A run says when, with which library and on which machine; a record says which run it is of ("run", an index). A cell is
measured once for a library's revision and a GPU: records of others stay in the file beside it.
"""

import hashlib
import json
import os

import gpu_state
from cells import Cell

SCHEMA = 2
GUARD_FACTOR, GUARD_US = 1.15, 15
MEASURED, WRONG, FAILED = "measured", "wrong", "failed"  # "status" of a record


class UnknownFile(Exception):
    """A file that is there and is no result of this program."""


def source_identity(library_path, directory):
    """The revision of the checkout; with the library's digest where the revision does not say everything."""
    revision = gpu_state.revision(directory)
    if revision == "unknown" or revision.endswith("+changes"):
        with open(library_path, "rb") as file:
            revision += " " + hashlib.sha256(file.read()).hexdigest()[:16]
    return revision


def identity_of(run):
    return run["revision"], run["gpu"]["name"]


def cell_of(record):
    return Cell.from_json(record["cell"])


def guard(record, full):
    """Whether T(mask) <= 1.15 T(full) visited / all + 15 us, for a record and that of the full mask in its shape."""
    limit = GUARD_FACTOR * own_time(full) * record["own_tiles"]["visited_share"] + GUARD_US
    return {"limit_us": limit, "time_to_limit": own_time(record) / limit, "kept": own_time(record) <= limit,
            "full_us": own_time(full), "full_run": full["run"]}


def own_time(record):
    return record["candidates"]["flashmask"]["times_us"]["median"]


class ResultFile:
    """Every change is written at once, as a whole or not at all."""

    def __init__(self, path=None):
        """`path` None: kept in memory alone."""
        self.path = path
        self.content = {"schema": SCHEMA, "tool": "bench/compare.py", "runs": [], "cells": []}
        if path and os.path.exists(path):
            try:
                with open(path, encoding="utf-8") as file:
                    content = json.load(file)
            except ValueError as error:
                raise UnknownFile(f"{path} is no JSON: {error}; name another file, or move it away") from error
            if not isinstance(content, dict) or content.get("schema") != SCHEMA:
                raise UnknownFile(f"{path} is not of schema {SCHEMA}; name another file, or move it away")
            self.content = content

    @property
    def runs(self):
        return self.content["runs"]

    @property
    def records(self):
        return self.content["cells"]

    def start_run(self, run):
        """`run` holds "revision" and "gpu": {"name", ...}; records that are put from now on are of it."""
        self.runs.append(run)
        self._write()

    def of_identity(self, identity):
        return [record for record in self.records if identity_of(self.runs[record["run"]]) == identity]

    def find(self, cell, identity):
        return next((record for record in self.of_identity(identity) if cell_of(record) == cell), None)

    def is_done(self, cell, asked, identity, retry=False):
        """Whether nothing is left to do: `asked` are names of candidates; `retry` true: a failed cell is not done."""
        record = self.find(cell, identity)
        if record is None or (retry and record["status"] != MEASURED):
            return False
        return set(asked) <= set(record["asked"])

    def put(self, record):
        """Of the last run; instead of the record of the same cell, revision and GPU, if there is one."""
        identity = identity_of(self.runs[-1])
        old = self.find(cell_of(record), identity)
        record["run"] = len(self.runs) - 1
        self.content["cells"] = [other for other in self.records if other is not old] + [record]
        self._judge(identity)
        self._write()

    def _judge(self, identity):
        """Fills in "guard" where a full cell of the same shape was measured."""
        measured = [record for record in self.of_identity(identity) if record["status"] == MEASURED]
        full = {cell_of(record).shape: record for record in measured if record["cell"]["mask"] == "full"}
        for record in measured:
            shape = cell_of(record).shape
            if shape in full:
                record["guard"] = guard(record, full[shape])

    def _write(self):
        if not self.path:
            return
        os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
        with open(self.path + ".part", "w", encoding="utf-8") as file:
            json.dump(self.content, file, indent=1)
            file.write("\n")
        os.replace(self.path + ".part", self.path)
