"""FlexAttention's mask_mod of each mask of paper_masks.py: what its users would write.

The closed form where a mask has one, document numbers where it has documents, else our own vectors, one function per
form. A function that several masks share is compiled once per shape.
"""

import paper_masks


def causal():
    return lambda b, h, q, kv: q >= kv


def window(size):
    return lambda b, h, q, kv: (q >= kv) & (q - kv < size)


def global_window(size, globals_):
    return lambda b, h, q, kv: ((q - kv <= size) & (kv - q <= size)) | (q < globals_) | (kv < globals_)


def documents(document):
    return lambda b, h, q, kv: document[q] == document[kv]


def causal_documents(document):
    return lambda b, h, q, kv: (q >= kv) & (document[q] == document[kv])


def prefix_or_causal(prefix):
    return lambda b, h, q, kv: (q >= kv) | (kv < prefix)


def c1(lts):
    return lambda b, h, q, kv: (q >= kv) & (q < lts[kv])


def c2(lts, lte):
    return lambda b, h, q, kv: (q >= kv) & ((q < lts[kv]) | (q >= lte[kv]))


def f2(lts, ute):
    return lambda b, h, q, kv: (q < lts[kv]) & (q >= ute[kv])


def f4(lts, lte, uts, ute):
    return lambda b, h, q, kv: ((q < lts[kv]) | (q >= lte[kv])) & ((q < uts[kv]) | (q >= ute[kv]))


def make(mask, on_device):
    """(mask_mod, or None for the full mask; what it is in words); `on_device` makes a tensor of an array of int32."""
    p = mask.parameters
    if mask.name == "full":
        return None, "none"
    if mask.name == "causal":
        return causal(), "closed form: q >= kv"
    if mask.name in ("sliding-window", "closed-window"):
        return window(p["window"]), "closed form: (q >= kv) & (q - kv < window)"
    if mask.name == "global-sliding-window":
        return (global_window(p["window"], p["globals"]),
                "closed form: (q - kv <= window) & (kv - q <= window) | (q < globals) | (kv < globals)")
    if mask.name == "prefix-lm-causal":
        return prefix_or_causal(p["prefix"]), "closed form: (q >= kv) | (kv < prefix)"
    if mask.name in ("document", "causal-document"):
        document = on_device(paper_masks.span_of(mask.seqlen, p["bounds"]))
        if mask.name == "document":
            return documents(document), "document[q] == document[kv]"
        return causal_documents(document), "(q >= kv) & (document[q] == document[kv])"
    make_of_vectors, words = {
        "c1": (c1, "(q >= kv) & (q < lts[kv])"),
        "c2": (c2, "(q >= kv) & ((q < lts[kv]) | (q >= lte[kv]))"),
        "f2": (f2, "(q < lts[kv]) & (q >= ute[kv])"),
        "f4": (f4, "((q < lts[kv]) | (q >= lte[kv])) & ((q < uts[kv]) | (q >= ute[kv]))"),
    }[mask.form]
    return make_of_vectors(*(on_device(vector) for vector in mask.vectors)), "intervals: " + words
