"""The metadata database (spec daemons-and-config.md §3.4)."""

from oslo_config import cfg

from glance.common.config.types import Section


def _old(*names: str) -> list[cfg.DeprecatedOpt]:
    """Old spellings, each written ``SECTION/name``."""
    return [cfg.DeprecatedOpt(name, group=group) for group, name in (spelling.split("/") for spelling in names)]


OPTIONS = [
    Section(
        "ARSM",
        "database",
        [
            cfg.StrOpt(
                "connection",
                secret=True,
                deprecated_opts=_old("DEFAULT/sql_connection", "DATABASE/sql_connection", "sql/connection"),
                help="URL of the database, for example mysql+pymysql://glance:PASSWORD@HOST/glance?charset=utf8, "
                "postgresql+psycopg2://… or sqlite:////var/lib/glance/glance.sqlite. Special characters of the "
                "password are written percent-encoded.",
            ),
            cfg.StrOpt(
                "slave_connection",
                secret=True,
                help="URL of a copy of the database for reading.",
            ),
            cfg.StrOpt(
                "backend",
                default="sqlalchemy",
                deprecated_opts=_old("DEFAULT/db_backend"),
                help="How the database is reached. Only sqlalchemy exists.",
            ),
            cfg.IntOpt(
                "connection_recycle_time",
                default=3600,
                min=-1,
                deprecated_opts=_old(
                    "database/idle_timeout",
                    "DEFAULT/sql_idle_timeout",
                    "DATABASE/sql_idle_timeout",
                    "sql/idle_timeout",
                    "DEFAULT/sql_timeout",
                ),
                help="Seconds after which a connection is replaced before it is used again. Keep it below the "
                "server's own idle timeout. -1 means never.",
            ),
            cfg.IntOpt(
                "min_pool_size",
                default=1,
                min=0,
                deprecated_opts=_old("DEFAULT/sql_min_pool_size", "DATABASE/sql_min_pool_size"),
                help="Number of connections that each process keeps open.",
            ),
            cfg.IntOpt(
                "max_pool_size",
                min=0,
                deprecated_opts=_old("DEFAULT/sql_max_pool_size", "DATABASE/sql_max_pool_size"),
                help="Largest number of connections that each process keeps open. Unset: SQLAlchemy's default. 0 "
                "means no limit.",
            ),
            cfg.IntOpt(
                "max_overflow",
                default=50,
                min=-1,
                deprecated_opts=_old("DEFAULT/sql_max_overflow", "DATABASE/sqlalchemy_max_overflow"),
                help="Number of connections that a process may open beyond max_pool_size for a moment. -1 means no "
                "limit.",
            ),
            cfg.IntOpt(
                "pool_timeout",
                min=0,
                deprecated_opts=_old("DATABASE/sqlalchemy_pool_timeout"),
                help="Seconds to wait for a free connection. Unset: SQLAlchemy's default.",
            ),
            cfg.IntOpt(
                "max_retries",
                default=10,
                min=-1,
                deprecated_opts=_old("DEFAULT/sql_max_retries", "DATABASE/sql_max_retries"),
                help="How often the first connection is tried again. -1 means for ever.",
            ),
            cfg.IntOpt(
                "retry_interval",
                default=10,
                min=0,
                deprecated_opts=_old("DEFAULT/sql_retry_interval", "DATABASE/reconnect_interval"),
                help="Seconds between these attempts.",
            ),
            cfg.IntOpt(
                "connection_debug",
                default=0,
                min=0,
                max=100,
                deprecated_opts=_old("DEFAULT/sql_connection_debug"),
                help="How much of the SQL is logged: 0 nothing, 50 statements, 100 also results.",
            ),
            cfg.BoolOpt(
                "connection_trace",
                default=False,
                deprecated_opts=_old("DEFAULT/sql_connection_trace"),
                help="Write the calling function into each statement as a comment.",
            ),
            cfg.StrOpt(
                "mysql_sql_mode",
                default="TRADITIONAL",
                help="sql_mode of MySQL and MariaDB sessions. An empty value leaves the server's own.",
            ),
            cfg.StrOpt(
                "sqlite_db",
                default="oslo.sqlite",
                deprecated_opts=_old("DEFAULT/sqlite_db"),
                help="Accepted for old files: the name of the SQLite file stands in connection.",
            ),
            cfg.BoolOpt(
                "sqlite_synchronous",
                default=True,
                deprecated_opts=_old("DEFAULT/sqlite_synchronous"),
                help="SQLite waits until data has reached the disk. False is faster and may lose the database when "
                "the power fails.",
            ),
            cfg.BoolOpt(
                "use_db_reconnect",
                default=False,
                help="Try an operation again when the connection was lost on the way.",
            ),
            cfg.IntOpt("db_retry_interval", default=1, min=0, help="Seconds before the first such attempt."),
            cfg.BoolOpt("db_inc_retry_interval", default=True, help="Wait longer before each further attempt."),
            cfg.IntOpt("db_max_retry_interval", default=10, min=0, help="Longest such wait, in seconds."),
            cfg.IntOpt("db_max_retries", default=20, min=-1, help="Number of such attempts. -1 means no limit."),
        ],
    ),
    Section(
        "ARSM",
        "DEFAULT",
        [
            cfg.BoolOpt(
                "db_auto_create",
                default=False,
                help="Create missing tables at start. Better: run 'glance-manage db sync' once per upgrade.",
            ),
        ],
    ),
]
