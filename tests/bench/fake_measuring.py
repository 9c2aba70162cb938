"""A measuring process without a GPU: what it does with a cell stands in the cell's mask.

    fake_measuring.py LOG [refuse | die-at-start-after N]      a line is added to LOG for every start and every cell
"""

import json
import os
import signal
import sys
import time

from cells import Cell
from records import record, run


def answer(content):
    print(json.dumps(content), flush=True)


def measure(request):
    cell = Cell.from_json(request["cell"])
    answer({"doing": "first run of flashmask"})
    if cell.mask == "document":
        return {"failed": "flashmask: no such kernel", "dead": False}
    if cell.mask == "share-question":
        return {"failed": "flashmask: an illegal address", "dead": True}
    if cell.mask == "qk-sparse":
        print("Fatal: something broke", file=sys.stderr, flush=True)
        os._exit(7)
    if cell.mask == "hash-sparse":
        os.kill(os.getpid(), signal.SIGSEGV)
    if cell.mask == "random-eviction":
        time.sleep(600)
    if cell.mask == "causal-blockwise":
        print("what a library prints where answers are expected", flush=True)
    done = record(cell)
    if cell.mask == "prefix-lm-causal":
        done["candidates"]["flashmask"] |= {"passed": False, "checks": [{"errors": [1.0]}]}
        done["status"] = "wrong"
    return {"record": done}


def main(log, mode="", starts=""):
    def note(text):
        with open(log, "a", encoding="utf-8") as file:
            file.write(text + "\n")
    note("start")
    with open(log, encoding="utf-8") as file:
        number = file.read().split("\n").count("start")
    if mode == "refuse":
        answer({"refused": "torch sees no GPU"})
        return
    if mode == "die-at-start-after" and number > int(starts):
        sys.exit(3)
    answer({"ready": {name: value for name, value in run().items() if name != "revision"}})
    for line in sys.stdin:
        request = json.loads(line)
        note(request["cell"]["mask"])
        content = measure(request)
        answer(content)
        if content.get("dead"):
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
