"""Asks both oracles about every line of standard input. Started by `check_blocks`.

slack_sdk knows lengths and enumerations, but neither counts over a message nor unknown keys.
The published types know shapes and unknown keys, but no lengths.
"""

import json
import os
import pathlib
import subprocess
import sys

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.basic_objects import JsonObject
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

HERE = pathlib.Path(__file__).parent


def subject(line):
    """`("blocks", [...])` or `("view", {...})`."""
    if isinstance(line, list):
        return "blocks", line
    if isinstance(line, dict) and "view" in line:
        return "view", line["view"]
    if isinstance(line, dict) and "blocks" in line:
        return "blocks", line["blocks"]
    raise ValueError("a line is a list of blocks, or an object with blocks or a view")


def validate(thing):
    """A block checks itself, but not the texts and elements in it."""
    if isinstance(thing, (list, tuple)):
        for item in thing:
            validate(item)
    elif isinstance(thing, JsonObject):
        thing.validate_json()
        for item in vars(thing).values():
            validate(item)


def sdk_errors(kind, value):
    try:
        if kind == "view":
            view = View(**value)
            validate(view)
            blocks, count = view.blocks, len(value["blocks"])
        else:
            blocks, count = Block.parse_all(value), len(value)
        if len([block for block in blocks if block is not None]) != count:
            return ["a block has a type the SDK does not know"]
        validate(blocks)
    except SlackObjectFormationError as error:
        return [str(error)]
    except Exception as error:  # The SDK trips over what is too far from right.
        return [f"{type(error).__name__}: {error}"]
    return []


def types_errors(subjects):
    node = pathlib.Path(os.environ["ORACLE_DIR"]) / "node"
    text = "".join(json.dumps({kind: value}) + "\n" for kind, value in subjects)
    done = subprocess.run(
        ["node", str(HERE / "check_types.mjs"), str(node)], input=text, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"the schema oracle failed: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def main():
    subjects = [subject(json.loads(line)) for line in sys.stdin if line.strip()]
    refused = False
    for number, ((kind, value), types) in enumerate(zip(subjects, types_errors(subjects)), start=1):
        errors = [{"by": "slack_sdk", "error": error} for error in sdk_errors(kind, value)]
        errors += [{"by": "slack_types", "error": error} for error in types]
        refused = refused or bool(errors)
        verdict = {"line": number, "ok": not errors}
        if errors:
            verdict["errors"] = errors
        print(json.dumps(verdict))
    sys.exit(1 if refused else 0)


main()
