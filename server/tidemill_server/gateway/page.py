"""The page of the OpenAPI document: plain HTML that loads nothing."""

from collections.abc import Iterator
from html import escape
from typing import Any

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "x-content-type-options": "nosniff",
}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}"
    "td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}"
    "code{font-family:ui-monospace,monospace}"
)


def page_of(openapi: dict[str, Any]) -> str:
    """Return the page of an OpenAPI document whose routes take and return JSON objects."""
    title = escape(f"{openapi['info']['title']} {openapi['info']['version']}")
    return "".join(
        [
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>',
            f"<style>{_STYLE}</style><h1>{title}</h1>",
            f"<p>{escape(openapi['info']['description'])} ",
            'For programs: <a href="openapi.json">openapi.json</a>.</p>',
            *_routes(openapi),
            "</html>",
        ]
    )


def _routes(openapi: dict[str, Any]) -> Iterator[str]:
    for path, methods in openapi["paths"].items():
        for method, route in methods.items():
            yield f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
            yield f"<p>{escape(route['description'])}</p>"
            yield "<h3>Request</h3>" + _table(openapi, route["requestBody"])
            for status, answer in route["responses"].items():
                yield f"<h3>Answer ({escape(status)})</h3>" + _table(openapi, answer)


def _table(openapi: dict[str, Any], described: dict[str, Any]) -> str:
    """Return the fields of a body as a table."""
    (content,) = described["content"].values()
    schema = _resolved(openapi, content["schema"])
    required = schema.get("required", [])
    rows = [
        f"<tr><td><code>{escape(name)}</code><td>{_kind(field)}"
        f"<td>{'required' if name in required else ''}<td>{escape(field.get('description', ''))}"
        for name, field in schema["properties"].items()
    ]
    return f"<p>{escape(schema.get('description', ''))}</p><table>{''.join(rows)}</table>"


def _kind(field: dict[str, Any]) -> str:
    return escape(str(field.get("type", "object")))


def _resolved(openapi: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema, or the one that it refers to."""
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found
