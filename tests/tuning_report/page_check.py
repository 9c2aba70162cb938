#!/usr/bin/env python3
"""Checks made-up reports with a real XML parser: page_check.py WRITE_SAMPLE

Pages and pictures are well-formed, nothing in them leads elsewhere, every anchor has its place, and the policy of a
page names the script that is in it.
"""

import base64
import hashlib
import pathlib
import subprocess
import sys
import tempfile
import xml.dom.minidom

ADDRESSES = {"src", "href", "action", "data", "poster", "srcset", "xlink:href"}


def elements(node):
    for child in node.childNodes:
        if child.nodeType == child.ELEMENT_NODE:
            yield child
            yield from elements(child)


def check_addresses(name, document):
    ids = {element.getAttribute("id") for element in elements(document)}
    for element in elements(document):
        for attribute, value in element.attributes.items():
            assert not attribute.startswith("on"), f"{name}: {element.tagName} has {attribute}"
            if attribute in ADDRESSES:
                inside = value == "data:," or (value.startswith("#") and value[1:] in ids)
                assert inside, f"{name}: {element.tagName} leads to {value}"


def check_script(name, document):
    (script,) = document.getElementsByTagName("script")
    digest = hashlib.sha256(script.firstChild.data.encode()).digest()
    wanted = f"'sha256-{base64.b64encode(digest).decode()}'"
    policy = document.getElementsByTagName("meta")[1].getAttribute("content")
    assert wanted in policy, f"{name}: page_script_digest() must be {wanted}"


def main():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[1], folder], check=True)
        files = sorted(pathlib.Path(folder).iterdir())
        assert len(files) > 20, files
        for file in files:
            document = xml.dom.minidom.parse(str(file))
            check_addresses(file.name, document)
            if file.suffix == ".html":
                check_script(file.name, document)
        print(f"page_check.py: {len(files)} files are sound")


main()
