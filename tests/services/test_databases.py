"""The database fixtures give what they promise."""

import pytest
import sqlalchemy


@pytest.fixture(params=["mariadb", "postgresql"])
def server(request):
    return request.getfixturevalue(f"{request.param}_server")


def test_databases_are_fresh_separate_and_go_away(server):
    with server.database() as first, server.database() as second:
        assert first != second
        engine = sqlalchemy.create_engine(first)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE images (id VARCHAR(36) PRIMARY KEY)")
        assert sqlalchemy.inspect(engine).get_table_names() == ["images"]
        assert sqlalchemy.inspect(sqlalchemy.create_engine(second)).get_table_names() == []
    with pytest.raises(sqlalchemy.exc.DBAPIError):  # dropped, although the engine still held a connection
        sqlalchemy.create_engine(first).connect()


def test_urls(mariadb_url, postgresql_url):
    for url in (mariadb_url, postgresql_url):
        with sqlalchemy.create_engine(url).connect() as connection:
            assert connection.scalar(sqlalchemy.text("SELECT 1")) == 1
