"""The transformations of a node, as they stand in the file."""

from __future__ import annotations

from bids_fx.stats_models.findings import Place, choice_of, kind_of, read_object
from bids_fx.transforms.instructions import read_instruction
from bids_fx.transforms.records import Instruction

#: What the specification calls the language of the transformations, and no other is known.
TRANSFORMER = "pybids-transforms-v1"


def read_transformations(raw: object, place: Place) -> tuple[Instruction, ...]:
    """Return the instructions of a node."""
    if raw is None or raw in ({}, []):
        return ()
    where = place.at("Transformations")
    if isinstance(raw, list):
        where.note(f"it is a list, and is read as instructions of {TRANSFORMER}")
        raw = {"Transformer": TRANSFORMER, "Instructions": raw}
    values = read_object(raw, where, ("Transformer", "Instructions"))
    if not isinstance(raw, dict):
        return ()
    if "Transformer" not in values:
        where.note(f"it names no Transformer, and is read as {TRANSFORMER}")
    else:
        known = {TRANSFORMER: TRANSFORMER}
        choice_of(values["Transformer"], where.at("Transformer"), known, "transformer")
    items = values.get("Instructions", [])
    instructions: list[Instruction] = []
    for i, item in enumerate(items if isinstance(items, list) else [items], start=1):
        where = place.at(f"instruction {i}")
        if not isinstance(item, dict):
            where.fault(f"it is {kind_of(item)}", 'write an object, {"Name": ...}')
            continue
        groups = [name for one in instructions if one.name == "Group" for name in one.outputs]
        instruction, faults = read_instruction(
            item, f"node '{place.node}': instruction {i}", groups
        )
        name = item.get("Name", item.get("name"))
        for fault in faults:
            found, _, remedy = fault.partition("; ")
            named = place.at(f"instruction {i} ({name})") if isinstance(name, str) else where
            named.fault(found, remedy or "mend the instruction")
        if instruction is not None:
            instructions.append(instruction)
    return tuple(instructions)
