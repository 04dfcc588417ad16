"""Our own JSON Schema dialect: a Term as a document, and the document's fingerprint.

The document is what `schema check` compares and what a stored job was written under, so it must not depend on a
library's version; it keeps apart what pydantic's JSON Schema merges (`Decimal` and `str`, `dict[int, V]` and
`dict[str, V]`). Types whose bytes are the same have the same document. Titles, defaults and the order of parameters
are not in it.
"""

import hashlib
import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Final, TypeAlias
from uuid import UUID

from typedgator.wire.terms import ArrayOf, DictOf, EnumOf, LiteralOf, OneOf, Record, Scalar, Term, TupleOf

__all__ = ["Document", "document", "fingerprint"]

Document: TypeAlias = dict[str, object]
"""A schema: only dict, list, str, int, float, bool and None inside, sorted where order means nothing."""

_SCALARS: Final[dict[type, Document]] = {
    type(None): {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": -(2**63), "maximum": 2**64 - 1},
    float: {"type": "number"},
    str: {"type": "string"},
    bytes: {"type": "string", "format": "bytes"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    time: {"type": "string", "format": "time"},
    timedelta: {"type": "string", "format": "duration"},
    UUID: {"type": "string", "format": "uuid"},
    Decimal: {"type": "string", "format": "decimal"},
}


def document(term: Term) -> Document:
    """The term's schema, in normal form: the same dict for the same meaning."""
    run: Document = {"x-validator": term.code} if term.code else {}
    return dict(sorted({**_shape(term), **dict(term.facets), **run}.items()))


def fingerprint(schema: Document) -> str:
    """16 hex characters that stand for a schema (BLAKE2b, 8 bytes, of its compact JSON)."""
    return hashlib.blake2b(_canonical(schema).encode(), digest_size=8).hexdigest()


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _shape(term: Term) -> Document:
    match term.shape:
        case Scalar(cls):
            return _SCALARS[cls]
        case EnumOf(cls):
            return {"enum": sorted(member.value for member in cls), "format": "enum"}
        case LiteralOf(values):
            return {"enum": sorted(values, key=repr)}
        case ArrayOf(cls, item):
            unique: Document = {"uniqueItems": True} if cls in (set, frozenset) else {}
            return {"type": "array", "items": document(item)} | unique
        case TupleOf(items):
            return {
                "type": "array",
                "prefixItems": [document(item) for item in items],
                "minItems": len(items),
                "maxItems": len(items),
            }
        case DictOf(key, value):
            return {"type": "object", "propertyNames": document(key), "additionalProperties": document(value)}
        case Record() as record:
            return _record(record)
        case OneOf(members):
            found = {_canonical(document(member)): document(member) for member in members}
            return {"anyOf": [found[text] for text in sorted(found)]}


def _record(record: Record) -> Document:
    if record.form == "namedtuple":
        return {
            "type": "array",
            "prefixItems": [document(field.term) for field in record.fields],
            "minItems": sum(field.required for field in record.fields),
            "maxItems": len(record.fields),
        }
    return {
        "type": "object",
        "properties": {field.name: document(field.term) for field in sorted(record.fields, key=lambda f: f.name)},
        "required": sorted(field.name for field in record.fields if field.required),
        "additionalProperties": False,
    }
