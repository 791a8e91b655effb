"""The OpenAPI 3.1 description of both APIs, made from their route tables and schemas.

Paths and methods are those of the routers; what the routers do not know (parameters,
bodies, answers) stands in ``_OPERATIONS``, where an operation that is missing, or that no
route has, is an error: the description cannot fall behind the service.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from oslo_config import cfg

from glance import __version__
from glance.api import services, versions
from glance.api.v1 import router as v1
from glance.api.v2 import router as v2
from glance.api.v2.patch import CONTENT_TYPES
from glance.api.v2.schemas import Schemas
from glance.images.editing import READ_ONLY
from glance.images.model import STATUSES, VISIBILITIES
from glance.images.searching import MEMBER_STATUSES, SORT_KEYS
from glance.wsgi.router import Route

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_FLAG: Schema = {"type": "boolean"}
_OPTIONAL: Schema = {"type": ["string", "null"]}
_PROJECT: Schema = {"type": "string", "minLength": 1, "maxLength": 255}
_DATA: Schema = {}
"""Bytes: OpenAPI 3.1 says so by saying nothing."""
_OCTETS = "application/octet-stream"
_JSON = "application/json"
_UUID = {"type": "string", "format": "uuid"}
_ERRORS = {
    400: "The request is malformed, or a value in it is.",
    401: "Nobody is known to ask.",
    403: "The caller may not do that.",
    404: "There is no such thing, or the caller may not know of it.",
    405: "The path has other methods.",
    409: "It conflicts with what is there.",
    410: "The image, or the place for its data, is gone.",
    412: "The image is no longer what If-Match says.",
    413: "A quota or limit is exceeded.",
    415: "Another type of content is expected, or the data was found dangerous.",
    416: "Nothing lies in that range.",
    431: "A header is too long.",
    500: "The place for the data failed.",
    503: "A part of the service does not answer at the moment; see Retry-After.",
}
_EVERYWHERE = (400, 401, 403, 404, 431, 503)


@dataclass(frozen=True)
class _Operation:
    """What one method of one path takes and gives.

    :ivar answers: by status: content type and schema, or None without a body
    :ivar errors: statuses beyond ``_EVERYWHERE``
    :ivar body: content type → schema
    :ivar query, headers: name → schema
    """

    summary: str
    answers: dict[int, tuple[str, Schema] | None]
    errors: tuple[int, ...] = ()
    body: dict[str, Schema] = field(default_factory=dict)
    query: dict[str, Schema] = field(default_factory=dict)
    headers: dict[str, Schema] = field(default_factory=dict)


def document(conf: cfg.ConfigOpts) -> Schema:
    """The description of the APIs that are switched on.

    :raises KeyError: a route is not described
    """
    schemas = Schemas(conf)
    operations = _Operations(schemas)
    paths: Schema = {}
    for version in versions.enabled_families(conf):
        for route in _routes(conf, version, schemas):
            entry = paths.setdefault(f"/{version}{route.path}", {})
            for method in route.methods:
                name = "GET" if method == "*" else method
                entry[name.lower()] = _described(version, route.path, name, operations.all[version, route.path, name])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "OpenStack Images API",
            "version": __version__,
            "description": "The image service: what images there are, and their data.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
            "responses": {str(status): _error(text) for status, text in _ERRORS.items()},
            "schemas": operations.schemas,
        },
    }


def _routes(conf: cfg.ConfigOpts, version: str, schemas: Schemas) -> list[Route]:
    service = services.current(conf, version)
    return v1.routes(service) if version == "v1" else v2.routes(service, schemas)


def described() -> set[tuple[str, str, str]]:
    """(version, path, method) of every operation that has a description."""
    return set(_Operations(None).all)


def _described(version: str, path: str, method: str, operation: _Operation) -> Schema:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _path_variables(path)
    ]
    parameters += [{"name": name, "in": "query", "schema": schema} for name, schema in operation.query.items()]
    parameters += [{"name": name, "in": "header", "schema": schema} for name, schema in operation.headers.items()]
    responses: Schema = {}
    for status, answer in operation.answers.items():
        responses[str(status)] = {"description": "Done."}
        if answer is not None:
            responses[str(status)]["content"] = {answer[0]: {"schema": answer[1]}}
    for status in sorted({*_EVERYWHERE, *operation.errors}):
        responses.setdefault(str(status), {"$ref": f"#/components/responses/{status}"})
    found: Schema = {
        "operationId": _operation_id(version, path, method),
        "tags": [version],
        "summary": operation.summary,
        "responses": responses,
    }
    if parameters:
        found["parameters"] = parameters
    if operation.body:
        content = {kind: {"schema": schema} for kind, schema in operation.body.items()}
        found["requestBody"] = {"content": content, "required": version == "v2"}
    return found


def _path_variables(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def _operation_id(version: str, path: str, method: str) -> str:
    words = [part.strip("{}") for part in path.split("/") if part]
    return "_".join([version, method.lower(), *words])


def _error(text: str) -> Schema:
    message = {
        "type": "object",
        "properties": {"code": _TEXT, "title": _TEXT, "message": _TEXT},
        "required": ["code", "title", "message"],
    }
    forms = {_JSON: {"schema": message}, "text/plain": {"schema": _TEXT}, "text/html": {"schema": _TEXT}}
    return {"description": text, "content": forms}


def _object(properties: Schema, required: Sequence[str] | None = None, **more: Any) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else list(required),
        **more,
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


class _Operations:
    """The descriptions.

    :param schemas: of the v2 API; None for the names of the operations alone
    :ivar all: by version, path and method
    """

    def __init__(self, schemas: Schemas | None) -> None:
        self.schemas = _components(schemas) if schemas else {}
        self.all = {("v1", *key): operation for key, operation in _v1().items()}
        self.all |= {("v2", *key): operation for key, operation in _v2().items()}


# --- schemas ---------------------------------------------------------------------


def _components(schemas: Schemas) -> Schema:
    documents = schemas.documents
    image = documents["image"]
    attributes = {name: _plain(entry) for name, entry in image["properties"].items()}
    given = {name: entry for name, entry in attributes.items() if name == "id" or name not in READ_ONLY}
    del given["locations"]
    # Null that v1 gave to a property of the operator's stays null (v2-images.md §4).
    shown = attributes | {name: {"anyOf": [attributes[name], {"type": "null"}]} for name in schemas.typed}
    always = [name for name in attributes if name in _ALWAYS_SHOWN]
    links = {"first": _TEXT, "schema": _TEXT}
    keyword = _object({"type": {"type": ["string", "array"]}, "description": _TEXT, "readOnly": _FLAG}, [])
    return {
        "Image": _object(shown, always, additionalProperties=_OPTIONAL),
        "NewImage": _object(given, image.get("required", []), additionalProperties=_TEXT),
        "Images": _object(
            {"images": {"type": "array", "items": _ref("Image")}, **links, "next": _TEXT}, ["images", *links]
        ),
        "Member": _object({name: _plain(entry) for name, entry in documents["member"]["properties"].items()}),
        "Members": _object({"members": {"type": "array", "items": _ref("Member")}, "schema": _TEXT}),
        "Schema": _object({"name": _TEXT, "properties": {"type": "object", "additionalProperties": keyword}}),
        "ImageV1": _image_v1(),
    }


_ALWAYS_SHOWN = frozenset(
    (
        "id", "name", "status", "visibility", "protected", "os_hidden", "checksum", "os_hash_algo", "os_hash_value",
        "owner", "size", "virtual_size", "container_format", "disk_format", "created_at", "updated_at", "tags",
        "min_ram", "min_disk", "self", "file", "schema",
    )
)  # fmt: skip


def _plain(entry: Schema) -> Schema:
    """An entry of the service's own schemas, without what is its own."""
    return {name: value for name, value in entry.items() if name != "is_base"}


def _image_v1() -> Schema:
    return _object(
        {
            "id": _TEXT, "name": _OPTIONAL, "status": {"type": "string", "enum": list(STATUSES)},
            "disk_format": _OPTIONAL, "container_format": _OPTIONAL, "size": _COUNT,
            "virtual_size": {"type": ["integer", "null"]}, "checksum": _OPTIONAL, "min_disk": _COUNT, "min_ram": _COUNT,
            "owner": _OPTIONAL, "is_public": _FLAG, "protected": _FLAG, "deleted": _FLAG, "created_at": _TEXT,
            "updated_at": _TEXT, "deleted_at": _OPTIONAL,
            "properties": {"type": "object", "additionalProperties": _OPTIONAL},
        }
    )  # fmt: skip


# --- API v1 ----------------------------------------------------------------------


def _v1() -> dict[tuple[str, str], _Operation]:
    image = (_JSON, _object({"image": _ref("ImageV1")}))
    known = _image_v1()["properties"]
    short = ("id", "name", "size", "disk_format", "container_format", "checksum")
    summary = _object({name: known[name] for name in short})
    summaries = (_JSON, _object({"images": {"type": "array", "items": summary}}))
    members = _object({"member_id": _PROJECT, "can_share": _FLAG}, ["member_id"])
    shared = _object({"image_id": _TEXT, "can_share": _FLAG})
    empty = ("text/html", _TEXT)
    filters: Schema = {
        "name": _TEXT, "status": _TEXT, "disk_format": _TEXT, "container_format": _TEXT, "size_min": _COUNT,
        "size_max": _COUNT, "min_ram": _COUNT, "min_disk": _COUNT, "is_public": _TEXT, "changes-since": _TEXT,
        "marker": _UUID, "limit": _COUNT, "sort_key": {"type": "string", "enum": list(SORT_KEYS)},
        "sort_dir": {"type": "string", "enum": ["asc", "desc"]},
    }  # fmt: skip
    attributes = {
        "name": _TEXT, "disk_format": _TEXT, "container_format": _TEXT, "is_public": _FLAG, "min_disk": _COUNT,
        "min_ram": _COUNT, "protected": _FLAG,
    }  # fmt: skip
    meta = {f"x-image-meta-{name}": schema for name, schema in attributes.items()}
    writes = (405, 409, 410, 412, 413, 500)
    return {
        ("/", "GET"): _Operation("List images", {200: summaries}, query=filters),
        ("/images", "GET"): _Operation("List images", {200: summaries}, (405,), query=filters),
        ("/images", "POST"): _Operation(
            "Register an image, and upload its data", {201: image}, writes, {_OCTETS: _DATA}, headers=meta
        ),
        ("/images/detail", "GET"): _Operation(
            "List images with all metadata",
            {200: (_JSON, _object({"images": {"type": "array", "items": _ref("ImageV1")}}))},
            (405,),
            query=filters,
        ),
        ("/images/{image_id}", "GET"): _Operation("Download an image", {200: (_OCTETS, _DATA), 304: None}, (405,)),
        ("/images/{image_id}", "HEAD"): _Operation("Show an image, as headers", {200: empty}, (405,)),
        ("/images/{image_id}", "PUT"): _Operation(
            "Change an image, or upload its data", {200: image}, writes, {_OCTETS: _DATA}, headers=meta
        ),
        ("/images/{image_id}", "DELETE"): _Operation("Delete an image", {200: empty}, (405, 409)),
        ("/images/{image_id}/members", "GET"): _Operation(
            "List who an image is shared with",
            {200: (_JSON, _object({"members": {"type": "array", "items": members}}))},
            (405,),
        ),
        ("/images/{image_id}/members", "PUT"): _Operation(
            "Share an image with these tenants only", {204: None}, (405, 413),
            {_JSON: _object({"memberships": {"type": "array", "items": members}})},
        ),
        ("/images/{image_id}/members/{member}", "PUT"): _Operation(
            "Share an image with a tenant", {204: None}, (405, 413),
            {_JSON: _object({"member": _object({"can_share": _FLAG}, [])}, [])},
        ),
        ("/images/{image_id}/members/{member}", "DELETE"): _Operation(
            "Stop sharing an image with a tenant", {204: None}, (405,)
        ),
        ("/shared-images/{member}", "GET"): _Operation(
            "List what is shared with a tenant",
            {200: (_JSON, _object({"shared_images": {"type": "array", "items": shared}}))},
        ),
    }  # fmt: skip


# --- API v2 ----------------------------------------------------------------------


def _v2() -> dict[tuple[str, str], _Operation]:
    image, member = (_JSON, _ref("Image")), (_JSON, _ref("Member"))
    if_match = {"If-Match": _TEXT}
    direction: Schema = {"type": "string", "enum": ["asc", "desc"]}
    query: Schema = {
        "limit": _COUNT, "marker": _UUID, "sort": _TEXT, "sort_key": {"type": "string", "enum": list(SORT_KEYS)},
        "sort_dir": direction, "visibility": {"type": "string", "enum": [*VISIBILITIES, "all"]},
        "member_status": {"type": "string", "enum": list(MEMBER_STATUSES)}, "owner": _TEXT, "tag": _TEXT, "name": _TEXT,
        "id": _TEXT, "status": _TEXT, "container_format": _TEXT, "disk_format": _TEXT, "size_min": _COUNT,
        "size_max": _COUNT, "created_at": _TEXT, "updated_at": _TEXT, "os_hidden": _FLAG, "protected": _FLAG,
        "checksum": _TEXT, "os_hash_value": _TEXT,
    }  # fmt: skip
    change = _object(
        {"op": {"type": "string", "enum": ["add", "replace", "remove"]}, "path": _TEXT, "value": {}}, ["op", "path"]
    )
    old_change = _object({"add": _TEXT, "replace": _TEXT, "remove": _TEXT, "value": {}}, [])
    changes = dict(zip(CONTENT_TYPES, (old_change, change), strict=True))
    limits: Schema = {
        "type": "object",
        "additionalProperties": _object({"usage": _COUNT, "limit": {"type": "integer"}}),
    }
    store = _object(
        {
            "id": _TEXT, "description": _TEXT, "default": _TEXT, "read-only": _TEXT, "type": _TEXT,
            "weight": {"type": "integer"}, "properties": {"type": "object", "additionalProperties": {}},
        },
        ["id"],
    )  # fmt: skip
    stores = _object({"stores": {"type": "array", "items": store}})
    methods = _object({"description": _TEXT, "type": _TEXT, "value": {"type": "array", "items": _TEXT}})
    return {
        ("/schemas/{name}", "GET"): _Operation("Show a schema", {200: (_JSON, _ref("Schema"))}, (405,)),
        ("/images", "GET"): _Operation("List images", {200: (_JSON, _ref("Images"))}, (405,), query=query),
        ("/images", "POST"): _Operation(
            "Register an image", {201: image}, (405, 409, 413), {_JSON: _ref("NewImage")}
        ),
        ("/images/{image_id}", "GET"): _Operation("Show an image", {200: image}, (405,)),
        ("/images/{image_id}", "PATCH"): _Operation(
            "Change an image", {200: image}, (405, 409, 412, 413, 415, 500),
            {kind: {"type": "array", "items": item} for kind, item in changes.items()}, headers=if_match,
        ),
        ("/images/{image_id}", "DELETE"): _Operation("Delete an image", {204: None}, (405, 409, 412), headers=if_match),
        ("/images/{image_id}/file", "GET"): _Operation(
            "Download an image, or a part of it",
            {200: (_OCTETS, _DATA), 204: None, 206: (_OCTETS, _DATA), 304: None}, (405, 416),
            headers={"Range": _TEXT, "If-Range": _TEXT, "If-None-Match": _TEXT},
        ),
        ("/images/{image_id}/file", "PUT"): _Operation(
            "Upload the data of an image", {204: None}, (405, 409, 410, 413, 415, 500), {_OCTETS: _DATA}
        ),
        ("/images/{image_id}/actions/deactivate", "POST"): _Operation(
            "Give out the data to administrators only", {204: None}, (405, 409)
        ),
        ("/images/{image_id}/actions/reactivate", "POST"): _Operation("Give it out again", {204: None}, (405, 409)),
        ("/images/{image_id}/actions/restore", "POST"): _Operation(
            "Take back a deletion that is not finished", {204: None}, (405, 409)
        ),
        ("/images/{image_id}/tags/{value}", "PUT"): _Operation("Give an image a tag", {204: None}, (405, 413)),
        ("/images/{image_id}/tags/{value}", "DELETE"): _Operation("Take a tag away", {204: None}, (405,)),
        ("/images/{image_id}/members", "GET"): _Operation(
            "List who an image is shared with", {200: (_JSON, _ref("Members"))}, (405,)
        ),
        ("/images/{image_id}/members", "POST"): _Operation(
            "Share an image with a project", {200: member}, (405, 409, 413), {_JSON: _object({"member": _PROJECT})}
        ),
        ("/images/{image_id}/members/{member}", "GET"): _Operation("Show a membership", {200: member}, (405,)),
        ("/images/{image_id}/members/{member}", "PUT"): _Operation(
            "Accept or reject an image", {200: member}, (405,),
            {_JSON: _object({"status": {"type": "string", "enum": [s for s in MEMBER_STATUSES if s != "all"]}})},
        ),
        ("/images/{image_id}/members/{member}", "DELETE"): _Operation(
            "Stop sharing an image with a project", {204: None}, (405,)
        ),
        ("/info/import", "GET"): _Operation(
            "List the ways to import data", {200: (_JSON, _object({"import-methods": methods}))}, (405,)
        ),
        ("/info/stores", "GET"): _Operation("List the stores", {200: (_JSON, stores)}, (405,)),
        ("/info/stores/detail", "GET"): _Operation("List the stores, with settings", {200: (_JSON, stores)}, (405,)),
        ("/stores/{store}/{image_id}", "DELETE"): _Operation(
            "Delete the copy of an image that a store has", {204: None}, (405, 409)
        ),
        ("/info/usage", "GET"): _Operation(
            "Show what the project uses of its limits",
            {200: (_JSON, _object({"usage": limits}))},
            (405,),
        ),
    }  # fmt: skip
