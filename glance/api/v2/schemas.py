"""The JSON schemas of the v2 API, which bodies are checked against (spec v2-images.md §12).

``schema-image.json`` of the operator adds typed properties to the image.
"""

import json
import logging
from typing import Any

import webob
import webob.exc
from jsonschema import Draft4Validator, exceptions
from oslo_config import cfg

from glance.api.v2 import bodies
from glance.common import exception
from glance.images.memberships import STATUSES as MEMBER_STATUSES
from glance.images.model import STATUSES, VISIBILITIES
from glance.wsgi.router import Request

LOG = logging.getLogger(__name__)

Schema = dict[str, Any]

CUSTOM_FILE = "schema-image.json"
_UUID = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"


class Schemas:
    """The schemas in force.

    :ivar typed: names of the properties that the operator's file describes
    :raises ConfigurationError: that file is of no use
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        custom = _custom(conf)
        self.typed = frozenset(custom["properties"])
        properties = _image_properties(conf)
        taken = self.typed & properties.keys()
        if taken:
            raise exception.ConfigurationError(
                f"{CUSTOM_FILE} describes '{min(taken)}', which every image has already: remove it there"
            )
        properties |= {name: {**entry, "is_base": False} for name, entry in custom["properties"].items()}
        self._open = conf.allow_additional_image_properties
        self._image: Schema = {
            "name": "image",
            "properties": properties,
            "additionalProperties": {"type": "string"} if self._open else False,
            "links": [
                {"rel": "self", "href": "{self}"},
                {"rel": "enclosure", "href": "{file}"},
                {"rel": "describedby", "href": "{schema}"},
            ],
        }
        if custom.get("required"):
            self._image["required"] = custom["required"]
        self._documents = {
            "image": self._image,
            "images": _collection("images", self._image, pages=True),
            "member": _MEMBER,
            "members": _collection("members", _MEMBER),
        }
        self._whole = Draft4Validator(self._image)
        self._parts = {name: Draft4Validator(entry) for name, entry in properties.items()}
        self._location = Draft4Validator(_LOCATION)

    @property
    def documents(self) -> dict[str, Schema]:
        """The schemas by name."""
        return self._documents

    def show(self, request: Request, name: str) -> webob.Response:
        """Handler of ``/schemas/{name}``."""
        if name not in self._documents:
            raise webob.exc.HTTPNotFound()
        return bodies.answer(self._documents[name])

    def check_image(self, body: dict[str, Any]) -> None:
        """:raises InvalidObject: the body does not describe an image"""
        _check(self._whole, body)

    def check_value(self, name: str, value: Any) -> None:
        """:raises InvalidObject: not a value of this attribute or property"""
        if name in self._parts:
            _check(self._parts[name], value, name)
        elif not self._open:
            raise exception.InvalidObject(reason=f"additional properties are not allowed ('{name}')")
        elif not isinstance(value, str):
            raise exception.InvalidObject(reason=f"the value of '{name}' must be a string")

    def check_location(self, value: Any) -> None:
        """:raises InvalidObject: not one entry of ``locations``"""
        _check(self._location, value, "locations", secret=True)


def _check(validator: Draft4Validator, value: Any, name: str | None = None, secret: bool = False) -> None:
    error = exceptions.best_match(validator.iter_errors(value))
    if error is None:
        return
    where = ".".join(str(part) for part in ([name] if name else []) + list(error.absolute_path))
    if secret or where.startswith("locations"):
        # What stands there may hold a password.
        reason = f"an entry of locations fails the check '{error.validator}'"
    else:
        reason = (f"{where}: " if where else "") + error.message[:500]
    raise exception.InvalidObject(reason=reason)


def _custom(conf: cfg.ConfigOpts) -> Schema:
    """``properties`` and ``required`` of the operator's file; none without one."""
    path = conf.find_file(CUSTOM_FILE)
    if path is None:
        LOG.warning("%s was not found: images have no typed properties", CUSTOM_FILE)
        return {"properties": {}}
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        if "properties" not in content or "type" in content["properties"]:
            content = {"properties": content}
        Draft4Validator.check_schema({"properties": content["properties"], **_required(content)})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise exception.ConfigurationError(f"'{path}' cannot be used: {error}") from None
    except exceptions.SchemaError as error:
        raise exception.ConfigurationError(f"'{path}' is not a JSON schema: {error.message}") from None
    return content


def _required(content: Schema) -> Schema:
    return {"required": content["required"]} if content.get("required") else {}


# --- documents -------------------------------------------------------------------


_VALIDATION_DATA: Schema = {
    "type": "object",
    "description": "Digests that the data has, given by who registers the location.",
    "writeOnly": True,
    "properties": {
        "os_hash_algo": {"type": "string", "maxLength": 64},
        "os_hash_value": {"type": "string", "maxLength": 128},
        "checksum": {"type": "string", "minLength": 32, "maxLength": 32},
    },
    "required": ["os_hash_algo", "os_hash_value"],
    "additionalProperties": False,
}
_LOCATION: Schema = {
    "type": "object",
    "properties": {
        "url": {"type": "string", "minLength": 1, "maxLength": 255},
        "metadata": {"type": "object", "additionalProperties": {}},
        "validation_data": _VALIDATION_DATA,
    },
    "required": ["url", "metadata"],
    "additionalProperties": False,
}
_MEMBER: Schema = {
    "name": "member",
    "properties": {
        "member_id": {"type": "string", "maxLength": 255, "description": "Project that the image is shared with."},
        "image_id": {"type": "string", "pattern": _UUID, "description": "The shared image."},
        "created_at": {"type": "string", "description": "When the sharing began."},
        "updated_at": {"type": "string", "description": "When it was last changed."},
        "status": {"type": "string", "enum": list(MEMBER_STATUSES), "description": "What the project says to it."},
        "schema": {"type": "string", "readOnly": True},
    },
}


def _collection(name: str, item: Schema, pages: bool = False) -> Schema:
    properties: Schema = {name: {"type": "array", "items": item}, "schema": {"type": "string"}}
    links = [{"rel": "describedby", "href": "{schema}"}]
    if pages:
        properties |= {"first": {"type": "string"}, "next": {"type": "string"}}
        links = [{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"}, *links]
    return {"name": name, "properties": properties, "links": links}


def _image_properties(conf: cfg.ConfigOpts) -> Schema:
    """The attributes that every image has."""
    text = {"type": "string"}
    optional = {"type": ["null", "string"]}
    count = {"type": "integer", "minimum": 0}
    fixed = {"readOnly": True}
    disk_formats, container_formats = conf.image_format.disk_formats, conf.image_format.container_formats
    return {
        "id": {**text, "pattern": _UUID, "description": "Identifier of the image."},
        "name": {**optional, "maxLength": 255, "description": "A name for people; need not be unique."},
        "status": {**text, **fixed, "enum": list(STATUSES), "description": "Where the image is in its life."},
        "visibility": {**text, "enum": list(VISIBILITIES), "description": "Who may see and use the image."},
        "protected": {"type": "boolean", "description": "Whether the image is kept from being deleted."},
        "os_hidden": {"type": "boolean", "description": "Whether lists leave the image out by default."},
        "checksum": {**optional, **fixed, "maxLength": 32, "description": "MD5 of the data."},
        "os_hash_algo": {**optional, **fixed, "maxLength": 64, "description": "Name of the secure hash of the data."},
        "os_hash_value": {**optional, **fixed, "maxLength": 128, "description": "The secure hash, in hexadecimal."},
        "owner": {**optional, "maxLength": 255, "description": "Project that owns the image."},
        "size": {"type": ["null", "integer"], **fixed, "description": "Bytes of the data."},
        "virtual_size": {
            "type": ["null", "integer"], **fixed, "description": "Bytes of the disk that the data describes."
        },
        "container_format": {
            **optional, "enum": [None, *container_formats], "description": "What the data is wrapped in.",
        },
        "disk_format": {**optional, "enum": [None, *disk_formats], "description": "Format of the disk image."},
        "created_at": {**text, **fixed, "description": "When the image was registered."},
        "updated_at": {**text, **fixed, "description": "When it was last changed."},
        "tags": {
            "type": "array", "items": {**text, "maxLength": 255}, "description": "Words to find the image by.",
        },
        "min_ram": {**count, "description": "MB of memory that the image needs."},
        "min_disk": {**count, "description": "GB of disk that the image needs."},
        "direct_url": {**text, **fixed, "description": "Where the data lies, if the service shows it."},
        "locations": {
            "type": "array", "items": _LOCATION, "description": "Where the data lies, if the service shows it.",
        },
        "stores": {**text, **fixed, "description": "Stores that hold the data, separated by commas."},
        "self": {**text, **fixed, "description": "Path of the image."},
        "file": {**text, **fixed, "description": "Path of its data."},
        "schema": {**text, **fixed, "description": "Path of this description."},
    }  # fmt: skip
