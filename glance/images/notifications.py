"""What notifications about images say (spec notifications.md §5, §6)."""

from typing import Any

from glance.context import RequestContext
from glance.images.model import Image
from glance.images.v1_form import image_dict


def image_payload(image: Image) -> dict[str, Any]:
    """The image in the v1 form; its locations never leave the service."""
    return image_dict(image) | {"properties": dict(image.properties)}


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
