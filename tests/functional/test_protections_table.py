"""Property protections: what every operation answers, for the sample files as they are shipped.

``ANSWERS`` is the table of spec policy-quota-protection.md §4, and all that the tests expect comes from it.
``python -m tests.functional.test_protections_table`` prints it for doc/source/admin/property-protections.rst.
"""

import json
import shutil
import uuid

import pytest

from tests.functional.conftest import ROOT
from tests.functional.v2.conftest import Caller, Deployment, add, remove, replace

# What a caller may do with a property → what the operation on it answers.
RIGHTS = ("everything", "create, read", "read", "nothing")
ANSWERS = {
    ("v2", "create"): ("201", "201", "403", "403"),
    ("v2", "add"): ("200", "200", "403", "403"),
    ("v2", "show"): ("shown", "shown", "shown", "hidden"),
    ("v2", "list"): ("shown", "shown", "shown", "hidden"),
    ("v2", "filter"): ("found", "found", "found", "not found"),
    ("v2", "replace"): ("200", "403", "403", "409"),
    ("v2", "replace, same value"): ("200", "403", "403", "409"),
    ("v2", "add over it"): ("200", "403", "403", "403"),
    ("v2", "add over it, same value"): ("200", "403", "403", "403"),
    ("v2", "remove"): ("200", "403", "403", "409"),
    ("v1", "create"): ("201", "201", "403", "403"),
    ("v1", "add"): ("200", "200", "403", "403"),
    ("v1", "show"): ("shown", "shown", "shown", "hidden"),
    ("v1", "list"): ("shown", "shown", "shown", "hidden"),
    ("v1", "filter"): ("found", "found", "found", "not found"),
    ("v1", "update"): ("200", "403", "403", "403"),
    ("v1", "update, same value"): ("200", "200", "200", "403"),
    ("v1", "purge"): ("200", "403", "403", "200, kept"),
}
READING = ("show", "list", "filter")

# Section of the samples → who may do everything with its properties, and what all others may.
SECTIONS = {
    "x_billing_code_": ({"admin", "billing"}, "read"),
    "x_internal_": ({"admin"}, "nothing"),
    "x_immutable_": (set(), "create, read"),
    "other": ({"admin", "billing", "member", "sharer", "public"}, "everything"),
}
# The policies sample knows no role billing, unless its billing section names a rule of one's own.
FILES = ("roles", "policies", "policies-billing")

OWNERS = ("member", "admin", "billing")
STRANGERS = {"sharer": {"v1": "404", "v2": "403"}, "public": {"v1": "403", "v2": "403"}}
"""Another project, as a member of the image and with a public image → the answer to whatever it changes."""

PROPERTIES = {section: f"{section}1" for section in SECTIONS}
OLD, NEW = "old", "new"
PURGE = "x-glance-registry-purge-props"
HEADER = "x-image-meta-property-"


def expected(file, api, operation, section, role):
    """The answer that the table promises."""
    if role in STRANGERS and operation not in READING:
        return STRANGERS[role][api]
    full, rest = SECTIONS[section]
    if role == "billing" and file == "policies":
        role = "member"
    return ANSWERS[api, operation][RIGHTS.index("everything" if role in full else rest)]


def cases():
    """Every case that is one, with its name."""
    for file in FILES:
        for api, operation in ANSWERS:
            for section in SECTIONS:
                if file == "policies-billing" and section != "x_billing_code_":
                    continue  # only that section differs
                for role in (*OWNERS, *STRANGERS):
                    if role in STRANGERS and operation == "create":
                        continue  # an image of one's own is not a stranger's
                    case = (file, api, operation, section, role)
                    yield pytest.param(*case, id="-".join(case).replace(", ", ",").replace(" ", "_"))


# --- the site --------------------------------------------------------------------


class Site:
    """A deployment under one of the files, with a project that owns images and another one."""

    def __init__(self, deployment):
        self.deployment = deployment
        self.owner, self.stranger = uuid.uuid4().hex, uuid.uuid4().hex
        self.shelf = {}

    def caller(self, role):
        if role == "admin":
            return Caller(self.deployment, roles="admin")
        if role in STRANGERS:
            return Caller(self.deployment, self.stranger)
        return Caller(self.deployment, self.owner, "member,billing" if role == "billing" else "member")

    def image(self, visibility="shared"):
        """A new image of the project ``owner`` that has a property of every section."""
        meta = {"owner": self.owner, "name": uuid.uuid4().hex, "visibility": visibility}
        return self.caller("admin").create(**meta, **dict.fromkeys(PROPERTIES.values(), OLD))

    def image_for(self, role, operation):
        """An image to try on; those that nobody may change are made once."""
        if role not in STRANGERS and operation not in READING:
            return self.image()
        kind = role if role in STRANGERS else "own"
        if kind not in self.shelf:
            self.shelf[kind] = self.image("public" if role == "public" else "shared")
            if role == "sharer":
                self.caller("admin").share(self.shelf[kind]["id"], self.caller(role), "accepted")
        return self.shelf[kind]

    def row(self, image_id):
        """What a change of properties leaves alone; a refused one leaves the time of the last change, too."""
        query = "SELECT name, status, visibility, owner, size, min_ram, protected, deleted, updated_at FROM images"
        return self.deployment.sql(f"{query} WHERE id = ?", image_id)[0]

    def stored(self, image_id):
        """All properties, whoever may read them."""
        query = "SELECT name, value FROM image_properties WHERE image_id = ? AND deleted = 0"
        return dict(self.deployment.sql(query, image_id))


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """One site for each file, started when the first test asks for it."""
    running = {}

    def start(file):
        if file not in running:
            directory = tmp_path_factory.mktemp(file)
            form = file.partition("-")[0]
            protections = directory / f"property-protections-{form}.conf"
            shutil.copy(ROOT / "etc" / f"{protections.name}.sample", protections)
            if file == "policies-billing":
                (directory / "policy.json").write_text(json.dumps({"billing": "role:admin or role:billing"}))
                head, section, rest = protections.read_text().partition("[^x_billing_code_]")
                mine, blank, others = rest.partition("\n\n")
                protections.write_text(head + section + mine.replace("context_is_admin", "billing") + blank + others)
            api = {"property_protection_file": protections.name, "property_protection_rule_format": form}
            running[file] = Site(Deployment(directory, api=api, flavor="trusted-auth").start())
        return running[file]

    yield start
    for site in running.values():
        site.deployment.stop()


# --- operations ------------------------------------------------------------------


def v1(caller, method, path, properties=None, **more):
    headers = caller.headers | {HEADER + name: value for name, value in (properties or {}).items()}
    return caller.deployment.request(method, f"/images{path}", headers=headers | more.pop("headers", {}), **more)


def change_v1(caller, image, name, operation):
    """Send the operation on the property; return the answer and the properties that it shows."""
    path = f"/{image['id']}"
    if operation == "purge":
        sent = {other: value for other, value in shown_v1(caller, image, "show").items() if other != name}
        answer = v1(caller, "PUT", path, sent)
    else:
        value = OLD if operation.endswith("same value") else NEW
        answer = v1(caller, "PUT", path, {name: value}, headers={PURGE: "false"})
    return answer, answer.json()["image"]["properties"] if answer.status_code == 200 else {}


def change_v2(caller, image, name, operation):
    value = OLD if operation.endswith("same value") else NEW
    if operation.startswith("replace"):
        change = replace(name, value)
    else:
        change = remove(name) if operation == "remove" else add(name, value)
    answer = caller.patch(image["id"], change)
    return answer, answer.json() if answer.status_code == 200 else {}


def shown_v1(caller, image, operation, name=None):
    """Properties of the image that the operation shows; None if it does not even show the image."""
    if operation == "show":
        headers = v1(caller, "HEAD", f"/{image['id']}").headers
        return {key.lower().removeprefix(HEADER): headers[key] for key in headers if key.lower().startswith(HEADER)}
    params = {"name": image["name"], "is_public": "none"}
    if operation == "filter":
        params[f"property-{name}"] = OLD
    images = v1(caller, "GET", "/detail", params=params).json()["images"]
    return images[0]["properties"] if images else None


def shown_v2(caller, image, operation, name=None):
    if operation == "show":
        return caller.image(image["id"])
    images = caller.page({"name": image["name"]} | ({name: OLD} if operation == "filter" else {})).json()["images"]
    return images[0] if images else None


# --- the table -------------------------------------------------------------------


@pytest.mark.parametrize(("file", "api", "operation", "section", "role"), [*cases()])
def test_table(sites, file, api, operation, section, role):
    site = sites(file)
    answer = expected(file, api, operation, section, role)
    name, caller = PROPERTIES[section], site.caller(role)
    if operation == "create":
        check_create(site, api, caller, name, answer)
    elif operation in READING:
        check_reading(site, api, caller, site.image_for(role, operation), operation, name, answer)
    else:
        name = f"{section}2" if operation == "add" else name
        image = site.image_for(role, operation)
        check_change(site, api, caller, image, operation, name, answer, hidden_from(file, role))


def hidden_from(file, role):
    return {PROPERTIES[section] for section in SECTIONS if expected(file, "v2", "show", section, role) == "hidden"}


def check_create(site, api, caller, name, answer):
    title = uuid.uuid4().hex
    if api == "v1":
        got = v1(caller, "POST", "", {name: NEW}, headers={"x-image-meta-name": title})
    else:
        got = caller.post({"name": title, name: NEW})
    assert str(got.status_code) == answer, got.text
    made = [image_id for (image_id,) in site.deployment.sql("SELECT id FROM images WHERE name = ?", title)]
    assert [site.stored(image_id) for image_id in made] == ([{name: NEW}] if answer == "201" else [])


def check_reading(site, api, caller, image, operation, name, answer):
    before = site.row(image["id"]), site.stored(image["id"])
    shown = (shown_v1 if api == "v1" else shown_v2)(caller, image, operation, name)
    if answer == "not found":
        assert shown is None
    elif answer == "hidden":
        assert name not in shown
    else:
        assert shown[name] == OLD
    assert (site.row(image["id"]), site.stored(image["id"])) == before


def check_change(site, api, caller, image, operation, name, answer, hidden):
    row, properties = site.row(image["id"]), site.stored(image["id"])
    got, shown = (change_v1 if api == "v1" else change_v2)(caller, image, name, operation)
    assert str(got.status_code) == answer[:3], got.text
    if answer[:3] != "200":
        assert (site.row(image["id"]), site.stored(image["id"])) == (row, properties)
        return
    if operation in ("remove", "purge"):
        after = properties if answer == "200, kept" else {key: properties[key] for key in properties if key != name}
    else:
        after = properties | {name: OLD if operation.endswith("same value") else NEW}
    assert site.stored(image["id"]) == after
    assert site.row(image["id"])[:-1] == row[:-1]
    assert {key: shown[key] for key in after if key in shown} == {key: after[key] for key in after if key not in hidden}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("role", OWNERS)
def test_no_save_loses_a_property(sites, file, role):
    """Whatever else is saved by one who may not read them all."""
    site = sites(file)
    caller, image = site.caller(role), site.image()
    path = f"/{image['id']}"
    properties = site.stored(image["id"])
    assert caller.patch(image["id"], replace("name", "n"), add("disk_format", "raw")).status_code == 200
    assert caller.patch(image["id"], add("container_format", "bare"), replace("tags", ["t"])).status_code == 200
    assert caller.send("PUT", f"/images{path}/tags/u").status_code == 204
    assert caller.patch(image["id"], replace("visibility", "community")).status_code == 200
    assert v1(caller, "PUT", path, headers={"x-image-meta-name": "m", PURGE: "false"}).status_code == 200
    sent = shown_v1(caller, image, "show")
    assert v1(caller, "PUT", path, sent, headers={"x-image-meta-min_ram": "1"}).status_code == 200
    upload = {"Content-Type": "application/octet-stream"}
    assert v1(caller, "PUT", path, headers=upload, data=b"data").status_code == 200
    assert caller.send("POST", f"/images{path}/actions/deactivate").status_code == 204
    assert site.stored(image["id"]) == properties
    assert caller.image(image["id"])["name"] == "m"


def test_the_samples_have_these_sections_and_no_others():
    """A section that is new in a sample belongs into the table."""
    for form in ("roles", "policies"):
        lines = (ROOT / "etc" / f"property-protections-{form}.conf.sample").read_text().splitlines()
        sections = [line for line in lines if line.startswith("[")]
        assert sections == [f"[^{section}]" if section != "other" else "[.*]" for section in SECTIONS]


# --- the documentation -----------------------------------------------------------


def documented():
    """The table, as reStructuredText."""
    rows = [("API, operation", *RIGHTS), *((f"{api} {name}", *answers) for (api, name), answers in ANSWERS.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    rule = "  ".join("=" * width for width in widths)
    return "\n".join([rule, lines[0], rule, *lines[1:], rule]) + "\n"


def test_the_documentation_has_the_table():
    assert documented() in (ROOT / "doc/source/admin/property-protections.rst").read_text()


if __name__ == "__main__":
    print(documented(), end="")
