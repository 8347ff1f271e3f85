"""The tables of a Prisma schema as SQL, as far as Prisma's query engine needs them: no foreign keys, no plain indexes.

Prisma's own program for that is a download of its own, like its engine, and the migrations that LiteLLM ships as a
package of their own are not always those of the schema beside it. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

TYPES = {
    "String": "text",
    "Int": "integer",
    "BigInt": "bigint",
    "Float": "double precision",
    "Boolean": "boolean",
    "DateTime": "timestamp(3)",
    "Json": "jsonb",
    "Bytes": "bytea",
}
_SERIAL = {"Int": "serial", "BigInt": "bigserial"}
_COMPUTED = {"uuid()", "cuid()", "autoincrement()"}


def ddl(schema: str) -> str:
    """SQL that makes the enums and tables of ``schema``."""
    text = re.sub(r"(?m)(^|\s)//.*", "", schema)
    blocks = re.findall(r"^(model|enum) (\w+) \{(.*?)^\}", text, re.DOTALL | re.MULTILINE)
    enums = {name: re.findall(r"\w+", body) for kind, name, body in blocks if kind == "enum"}
    made = [f'create type "{name}" as enum ({_quoted(values)});' for name, values in enums.items()]
    return "\n".join([*made, *(_table(name, body, enums) for kind, name, body in blocks if kind == "model")])


def _table(name: str, body: str, enums: Iterable[str]) -> str:
    parts, columns = list[str](), dict[str, str]()
    for field, kind, many, optional, attributes in re.findall(
        r"^\s+(\w+)\s+(\w+)(\[\])?(\?)?(.*)$", body, re.MULTILINE
    ):
        if kind not in TYPES and kind not in enums:
            continue  # a relation to another table is no column
        column = columns[field] = (re.findall(r'@map\("(\w+)"\)', attributes) or [field])[0]
        default = _default(attributes)
        type_ = _SERIAL[kind] if default == "autoincrement()" else TYPES.get(kind, f'"{kind}"') + many
        sql = f'"{column}" {type_}' + ("" if optional or many else " not null")
        if default is not None and default not in _COMPUTED:
            sql += f" default {_literal(default)}"
        parts.append(sql + " primary key" * ("@id" in attributes) + " unique" * ("@unique" in attributes))
    for what, fields in re.findall(r"@@(id|unique)\((?:fields:\s*)?\[([^\]]+)\]", body):
        listed = ", ".join(f'"{columns[field]}"' for field in re.findall(r"\w+", fields))
        parts.append(f"{'primary key' if what == 'id' else 'unique'} ({listed})")
    table = (re.findall(r'@@map\("(\w+)"\)', body) or [name])[0]
    return f'create table "{table}" ({", ".join(parts)});'


def _default(attributes: str) -> str | None:
    """What stands between the parentheses of ``@default(...)``, which may hold some itself."""
    found = re.search(r"@default\(((?:[^()\"]|\"[^\"]*\"|\([^()]*\))*)\)", attributes)
    return found[1] if found else None


def _literal(default: str) -> str:
    if default.startswith("dbgenerated("):
        return str(json.loads(default.removeprefix("dbgenerated(").removesuffix(")")))
    if default.startswith("["):
        return "'{" + ",".join(json.loads(default)) + "}'"
    if default.startswith('"'):
        return "'" + str(json.loads(default)).replace("'", "''") + "'"
    return default if re.fullmatch(r"now\(\)|true|false|-?[\d.]+", default) else f"'{default}'"


def _quoted(values: Iterable[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)
