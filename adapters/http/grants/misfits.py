"""What does not fit a declared struct, member by member, in pydantic's words and without repeating what was sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from adapters.http.grants.problems import Problem

_PATH = re.compile(r" - at `\$(?P<path>.*)`$")
_STEP = re.compile(r"\[(\d+|\.\.\.)\]|\.([^.\[]+)")
_BYTE = re.compile(r"\(byte (\d+)\)")
_WORDS = (
    (r"Expected `str` of length <= (\d+)", "string_too_long", "String should have at most {} characters"),
    (r"Expected `str` of length >= (\d+)", "string_too_short", "String should have at least {} characters"),
    (r"Expected `str` matching regex '(.*)'", "string_pattern_mismatch", "String should match pattern '{}'"),
    (r"Expected `array` of length <= (\d+)", "too_long", "List should have at most {} items"),
    (r"Expected `(?:int|float)` <= (\S+)", "less_than_equal", "Input should be less than or equal to {}"),
    (r"Expected `(?:int|float)` >= (\S+)", "greater_than_equal", "Input should be greater than or equal to {}"),
    (r"Invalid UUID", "uuid_parsing", "Input should be a valid UUID"),
    (r"Expected `str\b", "string_type", "Input should be a valid string"),
    (r"Expected `uuid\b", "uuid_type", "UUID input should be a string or UUID object"),
    (r"Expected `int\b", "int_type", "Input should be a valid integer"),
    (r"Expected `bool\b", "bool_type", "Input should be a valid boolean"),
    (r"Expected `array\b", "list_type", "Input should be a valid list"),
    (r"Expected `object\b", "dict_type", "Input should be a valid dictionary"),
)


def misfits(given: Mapping[str, Any], kind: type[Any], place: str) -> tuple[Problem, ...]:
    """Every member that is missing or wrong. In a query all values are texts, and numbers are read from them."""
    found = []
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        if name not in given:
            if field.required:
                found.append(Problem((place, name), "Field required", "missing"))
            continue
        try:
            msgspec.convert(given[name], field.type, strict=place == "body")
        except msgspec.ValidationError as error:
            found.append(_problem(str(error), field.type, (place, name), is_text=place == "query"))
    return tuple(found)


def malformed(error: msgspec.DecodeError | UnicodeDecodeError) -> Problem:
    """A body that is no JSON, with the byte at which that shows if that is known."""
    at = _BYTE.search(str(error))
    return Problem(("body", int(at[1])) if at else ("body",), "JSON decode error", "json_invalid")


def _problem(said: str, kind: Any, at: tuple[str | int, ...], *, is_text: bool) -> Problem:
    path = _PATH.search(said)
    if path is not None:
        said = said[: path.start()]
        at += tuple(int(step[1]) if (step[1] or "").isdigit() else step[2] or step[1] for step in _steps(path["path"]))
    if said.startswith("Invalid enum value"):
        choices = [repr(choice) for choice in get_args(kind)]
        return Problem(at, f"Input should be {', '.join(choices[:-1])} or {choices[-1]}", "literal_error")
    if is_text and said.startswith("Expected `int`, got"):
        return Problem(at, "Input should be a valid integer, unable to parse string as an integer", "int_parsing")
    for pattern, name, words in _WORDS:
        if match := re.match(pattern, said):
            return Problem(at, words.format(*(said.replace("\\\\", "\\") for said in match.groups())), name)
    return Problem(at, "Input should be valid", "value_error")


def _steps(path: str) -> list[re.Match[str]]:
    return list(_STEP.finditer(path))
