"""What notifications about images say (spec notifications.md §5, §6)."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from glance.context import RequestContext
from glance.images.model import Image, Member
from glance.images.v1_form import image_dict

if TYPE_CHECKING:
    from glance.images.service import Service

_V2_TIMES = ("created_at", "updated_at", "deleted_at")


def image_payload(service: "Service", image: Image) -> dict[str, Any]:
    """The image in the form of the API that was asked; its locations never leave the service."""
    payload = image_dict(image) | {"properties": dict(image.properties)}
    if service.api == "v2":
        payload |= {name: _time(getattr(image, name)) for name in _V2_TIMES}
        payload |= {"size": image.size, "tags": list(image.tags)}
    return payload


def activated(service: "Service", image: Image) -> None:
    """Say that an image became active; v1 has always said that it was updated as well."""
    service.notifier.info("image.activate", image_payload(service, image))
    if service.api == "v1":
        service.notifier.info("image.update", image_payload(service, image))


def member_payload(member: Member, *, deleted: bool = False) -> dict[str, Any]:
    """A membership, as v2 announces it; when it ends, the time of its last change is the end's."""
    return {
        "image_id": member.image_id,
        "member_id": member.member_id,
        "status": member.status,
        "created_at": _time(member.created_at),
        "updated_at": _time(member.updated_at),
        "deleted": deleted,
        "deleted_at": _time(member.updated_at) if deleted else None,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def send_payload(
    context: RequestContext, image: Image, bytes_sent: int, destination_ip: str | None
) -> dict[str, Any]:  # fmt: skip
    """One download, for image.send.

    :param bytes_sent: bytes of the body that went out
    :param destination_ip: the peer's address
    """
    return {
        "bytes_sent": bytes_sent,
        "image_id": image.id,
        "owner_id": image.owner,
        "receiver_tenant_id": context.project_id,
        "receiver_user_id": context.user_id,
        "destination_ip": destination_ip,
    }
