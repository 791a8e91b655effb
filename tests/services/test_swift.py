"""The Swift and Keystone fixtures give what they promise."""

import pytest

swiftclient = pytest.importorskip("swiftclient")


def test_tempauth(swift):
    connection = swiftclient.Connection(swift.auth_v1_url, swift.user, swift.key, retries=0)
    assert connection.get_auth()[0] == swift.storage_url
    connection.put_container("fixture")
    connection.put_object("fixture", "a", b"data")
    swift.stop()
    with pytest.raises(OSError):
        connection.get_object("fixture", "a")
    swift.start()
    assert connection.get_object("fixture", "a")[1] == b"data"
    connection.delete_object("fixture", "a")
    connection.delete_container("fixture")
    other = swiftclient.Connection(swift.auth_v1_url, swift.other_user, swift.other_key)
    assert other.get_auth()[0] == swift.other_storage_url


def test_s3(swift):
    boto3 = pytest.importorskip("boto3")
    client = boto3.client(
        "s3",
        endpoint_url=swift.s3_url,
        aws_access_key_id=swift.s3_access_key,
        aws_secret_access_key=swift.s3_secret_key,
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="a", Body=b"data")
    assert client.get_object(Bucket="bucket", Key="a")["Body"].read() == b"data"
    client.delete_object(Bucket="bucket", Key="a")
    client.delete_bucket(Bucket="bucket")


def test_keystone(keystone, swift_keystone):
    project = keystone.project("fixture")
    assert keystone.project("fixture") == project
    keystone.user("fixture", "secret", {"fixture": ["swiftoperator"]})
    token = keystone.token("fixture", "secret", "fixture")
    (service,) = [entry for entry in keystone.catalog("fixture", "secret", "fixture") if entry["name"] == "swift"]
    url = service["endpoints"][0]["publicURL"]
    assert url == f"{swift_keystone.url}/v1/AUTH_{project}"
    connection = swiftclient.Connection(preauthurl=url, preauthtoken=token, retries=0)
    connection.put_container("fixture")
    connection.delete_container("fixture")
