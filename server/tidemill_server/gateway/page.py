"""The page of the OpenAPI document: plain HTML that loads nothing."""

import json
import re
import shlex
from collections.abc import Iterator
from html import escape
from typing import Any
from urllib.parse import quote, urlencode

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "x-content-type-options": "nosniff",
}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}"
    "td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}"
    "code{font-family:ui-monospace,monospace}pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#8882;padding:.6rem}"
    ":root{color-scheme:light dark}"
)

Json = dict[str, Any]


def page_of(openapi: Json) -> str:
    """Return the page of an OpenAPI document."""
    title = escape(f"{openapi['info']['title']} {openapi['info']['version']}")
    return "".join(
        [
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>",
            f"<p>{_with_code(openapi['info']['description'])} ",
            'For programs: <a href="openapi.json">openapi.json</a>.</p><ul>',
            *_index(openapi),
            "</ul>",
            *_routes(openapi),
            *_types(openapi),
            "</html>",
        ]
    )


def curl_of(base: str, path: str, verb: str, operation: Json) -> str:
    """Return the command that sends the example of an operation.

    Args:
        base: the server's URL.
        path: the operation's path.
        verb: its verb, in lower case.
        operation: its description in the OpenAPI document.
    """
    query = []
    for parameter in operation["parameters"]:
        value = parameter.get("example", parameter["name"].upper())
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(str(value), safe=""))
        elif parameter["in"] == "query" and "example" in parameter:
            text = str(value).lower() if isinstance(value, bool) else value
            query.append((parameter["name"], text))
    words = ["curl", "-s", base + path + (f"?{urlencode(query, doseq=True)}" if query else "")]
    if body := operation.get("requestBody"):
        ((kind, content),) = body["content"].items()
        words += [] if verb == "post" else ["-X", verb.upper()]
        words += ["-H", f"content-type: {kind}", "-d", json.dumps(content["example"])]
    return shlex.join(words)


def _index(openapi: Json) -> Iterator[str]:
    for path, methods in openapi["paths"].items():
        for verb, operation in methods.items():
            yield f'<li><a href="#{operation["operationId"]}">{operation["summary"]}</a>: '
            yield f"<code>{verb.upper()} {escape(path)}</code>"


def _types(openapi: Json) -> Iterator[str]:
    for name, schema in openapi["components"]["schemas"].items():
        yield f'<h2 id="type-{name}">{name}</h2><p>{escape(schema.get("description", ""))}</p>'
        yield _table(schema.get("properties", {}), schema.get("required", []))


def _routes(openapi: Json) -> Iterator[str]:
    for path, methods in openapi["paths"].items():
        for verb, operation in methods.items():
            command = curl_of("http://127.0.0.1:8080", path, verb, operation)
            yield f'<h2 id="{operation["operationId"]}"><code>{verb.upper()} {escape(path)}</code>'
            yield f"</h2><p>{escape(operation['description'])}</p>"
            yield f"<pre><code>{escape(command)}</code></pre>"
            if fields := operation["parameters"]:
                yield "<h3>Path and query</h3>" + _table(
                    {each["name"]: each for each in fields},
                    [each["name"] for each in fields if each["in"] == "path"],
                )
            if body := operation.get("requestBody"):
                yield "<h3>Body</h3>" + _content(openapi, body)
            yield "<h3>Answer</h3>" + _content(openapi, operation["responses"]["200"])


def _content(openapi: Json, described: Json) -> str:
    """Return the fields of a body as a table."""
    kind, content = next(iter(described["content"].items()))
    schema = _resolved(openapi, content.get("itemSchema") or content["schema"])
    return (
        f"<p><code>{escape(' or '.join(described['content']) or kind)}</code>. "
        f"{escape(schema.get('description', ''))}</p>"
        + _table(schema.get("properties", {}), schema.get("required", []))
    )


def _table(fields: Json, required: list[str]) -> str:
    rows = [
        f"<tr><td><code>{escape(name)}</code><td>{_kind(field.get('schema', field))}"
        f"<td>{'always' if name in required else ''}<td>{escape(field.get('description', ''))}"
        for name, field in fields.items()
    ]
    return f"<table>{''.join(rows)}</table>"


def _kind(schema: Json) -> str:
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if "enum" in schema:
        return "one of " + escape(", ".join(schema["enum"]))
    if "items" in schema:
        return f"list of {_kind(schema['items'])}"
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#type-{name}">{name}</a>'
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_kind(schema['additionalProperties'])}"
    return escape(str(schema.get("type", "any")))


def _with_code(text: str) -> str:
    return re.sub("`([^`]*)`", r"<code>\1</code>", escape(text))


def _resolved(openapi: Json, schema: Json) -> Json:
    """Return a schema, or the one that it refers to."""
    if "$ref" not in schema:
        return schema
    found: Json = openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found
