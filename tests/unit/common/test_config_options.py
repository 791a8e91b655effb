"""Every row of the option tables: name, group, programs, default, old names (spec daemons-and-config.md §3)."""

import os

import pytest
from oslo_config import cfg

from glance.common.config import programs

# Programs, group, name, default as the sample file would say it ("-": none).
ROWS = """
AR DEFAULT bind_host 0.0.0.0
AR DEFAULT backlog 4096
AR DEFAULT tcp_keepidle 600
AR DEFAULT cert_file -
AR DEFAULT key_file -
AR DEFAULT ca_file -
AR DEFAULT max_header_line 16384
AR DEFAULT http_keepalive True
AR DEFAULT client_socket_timeout 900
AR DEFAULT digest_algorithm sha256
A DEFAULT public_endpoint -
AR DEFAULT owner_is_tenant True
ARS DEFAULT admin_role admin
AR DEFAULT allow_anonymous_access False
AR DEFAULT max_request_id_length 64
A DEFAULT executor_thread_pool_size 64
AR DEFAULT memcached_servers -
AR DEFAULT pydev_worker_debug_host -
AR DEFAULT pydev_worker_debug_port 5678
AR DEFAULT allowed_rpc_exception_modules glance.common.exception,builtins,exceptions
A DEFAULT allow_additional_image_properties True
AR DEFAULT api_limit_max 1000
AR DEFAULT limit_param_default 25
A DEFAULT image_size_cap 1099511627776
AR DEFAULT image_member_quota 128
AR DEFAULT image_property_quota 128
AR DEFAULT image_tag_quota 128
AR DEFAULT image_location_quota 10
A DEFAULT user_storage_quota 0
A DEFAULT user_image_count_quota 0
A DEFAULT use_keystone_limits False
ARS DEFAULT data_api glance.db.sqlalchemy.api
A DEFAULT show_image_direct_url False
A DEFAULT show_multiple_locations False
A DEFAULT enable_v1_api True
A DEFAULT enable_v2_api True
R DEFAULT enable_v1_registry True
R DEFAULT enable_v2_registry True
A DEFAULT location_strategy location_order
A image_format refuse_unsafe_images True
A image_format require_image_format_match False
A image_format vmdk_allowed_types streamOptimized,monolithicSparse
ASC DEFAULT enabled_backends -
ASC glance_store default_backend -
A store_type_location_strategy store_type_preference
A DEFAULT property_protection_file -
A DEFAULT property_protection_rule_format roles
A DEFAULT hashing_algorithm sha512
ASCM DEFAULT metadata_encryption_key -
M DEFAULT metadata_source_path /etc/glance/metadefs/
AR image_format disk_formats ami,ari,aki,vhd,vhdx,vmdk,raw,qcow2,vdi,iso,ploop
AR image_format container_formats ami,ari,aki,bare,ovf,ova,docker,compressed
A task task_time_to_live 48
A task task_executor taskflow
A task work_dir -
A taskflow_executor engine_mode parallel
A taskflow_executor max_workers 10
A taskflow_executor conversion_format -
AR oslo_policy policy_file policy.json
AR oslo_policy policy_default_rule default
AR oslo_policy policy_dirs policy.d
AR oslo_policy enforce_new_defaults False
AR oslo_policy enforce_scope True
AR profiler enabled False
AR profiler trace_sqlalchemy False
AR profiler hmac_keys SECRET_KEY
AR paste_deploy flavor -
AR paste_deploy config_file -
ASC DEFAULT registry_host 0.0.0.0
ASC DEFAULT registry_port 9191
ASC DEFAULT registry_client_protocol http
ASC DEFAULT registry_client_key_file -
ASC DEFAULT registry_client_cert_file -
ASC DEFAULT registry_client_ca_file -
ASC DEFAULT registry_client_insecure False
ASC DEFAULT registry_client_timeout 600
ASC DEFAULT use_user_token True
ASC DEFAULT admin_user -
ASC DEFAULT admin_password -
ASC DEFAULT admin_tenant_name -
ASC DEFAULT auth_url -
ASC DEFAULT auth_region -
ASC DEFAULT auth_strategy noauth
AS DEFAULT send_identity_headers False
AR keystone_authtoken auth_uri -
AR keystone_authtoken identity_uri -
AR keystone_authtoken auth_protocol https
AR keystone_authtoken auth_host 127.0.0.1
AR keystone_authtoken auth_port 35357
AR keystone_authtoken auth_admin_prefix
AR keystone_authtoken admin_user -
AR keystone_authtoken admin_password -
AR keystone_authtoken admin_tenant_name admin
AR keystone_authtoken admin_token -
AR keystone_authtoken signing_dir -
AR keystone_authtoken revocation_cache_time 10
AR keystone_authtoken check_revocations_for_cached False
AR keystone_authtoken hash_algorithms md5
A cors allowed_origin -
A cors allow_credentials True
A cors max_age 3600
A cors allow_methods GET,PUT,POST,DELETE,PATCH,OPTIONS
AR oslo_middleware enable_proxy_headers_parsing False
A oslo_middleware secure_proxy_ssl_header X-Forwarded-Proto
AR healthcheck detailed False
A matchmaker_redis host 127.0.0.1
A matchmaker_redis port 6379
A matchmaker_redis password
A matchmaker_redis sentinel_hosts
A matchmaker_redis sentinel_group_name oslo-messaging-zeromq
A matchmaker_redis wait_timeout 500
A matchmaker_redis check_timeout 20000
A matchmaker_redis socket_timeout 1000
ARSM database connection -
ARSM database connection_recycle_time 3600
ARSM database slave_connection -
ARSM database backend sqlalchemy
ARSM database min_pool_size 1
ARSM database max_pool_size -
ARSM database max_retries 10
ARSM database retry_interval 10
ARSM database max_overflow 50
ARSM database pool_timeout -
ARSM database connection_debug 0
ARSM database connection_trace False
ARSM database mysql_sql_mode TRADITIONAL
ARSM database sqlite_db oslo.sqlite
ARSM database sqlite_synchronous True
ARSM database use_db_reconnect False
ARSM database db_retry_interval 1
ARSM database db_inc_retry_interval True
ARSM database db_max_retry_interval 10
ARSM database db_max_retries 20
ARSM DEFAULT db_auto_create False
ARSCMP DEFAULT verbose True
ARSCMP DEFAULT debug False
ARSCMP DEFAULT log_file -
ARSCMP DEFAULT log_dir -
ARSCMP DEFAULT log_config_append -
ARSCMP DEFAULT log_date_format %Y-%m-%d %H:%M:%S
ARSCMP DEFAULT use_syslog False
ARSCMP DEFAULT syslog_log_facility LOG_USER
ARSCMP DEFAULT use_stderr True
ARSCMP DEFAULT watch_log_file False
ARSCMP DEFAULT publish_errors False
ARSCMP DEFAULT fatal_deprecations False
ARSCMP DEFAULT logging_debug_format_suffix %(funcName)s %(pathname)s:%(lineno)d
ARSCMP DEFAULT logging_exception_prefix %(asctime)s.%(msecs)03d %(process)d ERROR %(name)s %(instance)s
ARSCMP DEFAULT logging_user_identity_format %(user)s %(tenant)s %(domain)s %(user_domain)s %(project_domain)s
ASC glance_store default_store file
ASC glance_store stores -
ASC glance_store known_stores -
ASC glance_store rootwrap_config /etc/glance/rootwrap.conf
ASC glance_store filesystem_store_datadir /var/lib/glance/images/
ASC glance_store filesystem_store_datadirs -
ASC glance_store filesystem_store_metadata_file -
ASC glance_store filesystem_store_file_perm 0
ASC glance_store filesystem_store_chunk_size 65536
ASC glance_store filesystem_thin_provisioning False
ASC glance_store filesystem_store_timeout 0
ASC glance_store filesystem_store_thread_pool_size 10
ASC glance_store filesystem_store_threadpool_threshold 75
ASC glance_store https_ca_certificates_file -
ASC glance_store https_insecure True
ASC glance_store http_proxy_information {}
ASC glance_store swift_store_auth_address -
ASC glance_store swift_store_user -
ASC glance_store swift_store_key -
ASC glance_store swift_store_container glance
ASC glance_store swift_store_create_container_on_put False
ASC glance_store swift_store_large_object_size 5120
ASC glance_store swift_store_large_object_chunk_size 200
ASC glance_store swift_store_multi_tenant False
ASC glance_store swift_store_admin_tenants
ASC glance_store swift_store_auth_version 2
ASC glance_store swift_store_region -
ASC glance_store swift_store_endpoint_type publicURL
ASC glance_store swift_store_service_type object-store
ASC glance_store swift_enable_snet False
ASC glance_store swift_store_config_file -
ASC glance_store default_swift_reference ref1
ASC glance_store swift_store_retry_get_count 0
ASC glance_store swift_store_multiple_containers_seed 0
ASC glance_store s3_store_host s3.amazonaws.com
ASC glance_store s3_store_access_key -
ASC glance_store s3_store_secret_key -
ASC glance_store s3_store_bucket -
ASC glance_store s3_store_create_bucket_on_put False
ASC glance_store s3_store_object_buffer_dir -
ASC glance_store s3_store_bucket_url_format auto
ASC glance_store rbd_store_pool rbd
ASC glance_store rbd_store_chunk_size 4
ASC glance_store rbd_store_user admin
ASC glance_store rbd_store_ceph_conf -
AC DEFAULT image_cache_dir -
AC DEFAULT image_cache_driver sqlite
AC DEFAULT image_cache_sqlite_db cache.db
AC DEFAULT image_cache_max_size 10737418240
AC DEFAULT image_cache_stall_time 86400
C DEFAULT image_cache_invalid_entry_grace_period 0
C DEFAULT image_cache_percent_extra_to_free 0
A DEFAULT image_cache_enabled False
AS DEFAULT delayed_delete False
AS DEFAULT scrub_time 0
S DEFAULT scrub_pool_size 1
S DEFAULT wakeup_time 300
S DEFAULT daemon False
AS DEFAULT cleanup_scrubber False
AS DEFAULT cleanup_scrubber_time 86400
AS DEFAULT scrubber_datadir /var/lib/glance/scrubber
A DEFAULT notifier_strategy -
A oslo_messaging_notifications driver
A DEFAULT disabled_notifications
A DEFAULT default_publisher_id image.localhost
A DEFAULT rabbit_host localhost
A DEFAULT rabbit_port 5672
A DEFAULT rabbit_use_ssl False
A DEFAULT rabbit_userid guest
A DEFAULT rabbit_password guest
A DEFAULT rabbit_virtual_host /
A DEFAULT rabbit_notification_exchange glance
A DEFAULT rabbit_notification_topic notifications
A DEFAULT rabbit_max_retries 0
A DEFAULT rabbit_retry_backoff 2
A DEFAULT rabbit_retry_max_backoff 30
A DEFAULT rabbit_durable_queues False
A DEFAULT qpid_notification_exchange glance
A DEFAULT qpid_notification_topic notifications
A DEFAULT qpid_address_template {exchange}/{key}
A DEFAULT qpid_host localhost
A DEFAULT qpid_port 5672
A DEFAULT qpid_username -
A DEFAULT qpid_password -
A DEFAULT qpid_sasl_mechanisms -
A DEFAULT qpid_reconnect_timeout -
A DEFAULT qpid_reconnect_limit -
A DEFAULT qpid_reconnect_interval_min -
A DEFAULT qpid_reconnect_interval_max -
A DEFAULT qpid_reconnect_interval -
A DEFAULT qpid_heartbeat 5
A DEFAULT qpid_protocol tcp
A DEFAULT qpid_tcp_nodelay True
A DEFAULT transport_url -
A DEFAULT control_exchange glance
A oslo_messaging_rabbit rabbit_hosts
A oslo_messaging_rabbit kombu_ssl_version -
A oslo_messaging_rabbit kombu_reconnect_delay 1.0
A oslo_messaging_rabbit heartbeat_timeout_threshold 60
A oslo_messaging_rabbit heartbeat_rate 2
"""

# Program, section and name of old, what the file says, group and name of today.
OLD_NAMES = """
glance-api DEFAULT rpc_thread_pool_size 7 DEFAULT executor_thread_pool_size
glance-api DEFAULT disk_formats raw,iso image_format disk_formats
glance-api DEFAULT container_formats bare image_format container_formats
glance-api DEFAULT task_time_to_live 7 task task_time_to_live
glance-api task eventlet_executor_pool_size 7 taskflow_executor max_workers
glance-api DEFAULT policy_file mine.json oslo_policy policy_file
glance-api DEFAULT policy_default_rule mine oslo_policy policy_default_rule
glance-registry DEFAULT policy_dirs mine.d oslo_policy policy_dirs
glance-registry DEFAULT sql_connection x database connection
glance-registry DATABASE sql_connection x database connection
glance-registry sql connection x database connection
glance-registry database idle_timeout 7 database connection_recycle_time
glance-registry DEFAULT sql_idle_timeout 7 database connection_recycle_time
glance-registry DATABASE sql_idle_timeout 7 database connection_recycle_time
glance-registry sql idle_timeout 7 database connection_recycle_time
glance-registry DEFAULT sql_timeout 7 database connection_recycle_time
glance-manage DEFAULT db_backend x database backend
glance-scrubber DEFAULT sql_min_pool_size 7 database min_pool_size
glance-scrubber DATABASE sql_min_pool_size 7 database min_pool_size
glance-api DEFAULT sql_max_pool_size 7 database max_pool_size
glance-api DATABASE sql_max_pool_size 7 database max_pool_size
glance-api DEFAULT sql_max_retries 7 database max_retries
glance-api DATABASE sql_max_retries 7 database max_retries
glance-api DEFAULT sql_retry_interval 7 database retry_interval
glance-api DATABASE reconnect_interval 7 database retry_interval
glance-api DEFAULT sql_max_overflow 7 database max_overflow
glance-api DATABASE sqlalchemy_max_overflow 7 database max_overflow
glance-api DATABASE sqlalchemy_pool_timeout 7 database pool_timeout
glance-api DEFAULT sql_connection_debug 7 database connection_debug
glance-api DEFAULT sql_connection_trace yes database connection_trace
glance-api DEFAULT sqlite_db x database sqlite_db
glance-api DEFAULT sqlite_synchronous no database sqlite_synchronous
glance-api DEFAULT logfile x DEFAULT log_file
glance-api DEFAULT logdir x DEFAULT log_dir
glance-api DEFAULT log_config x DEFAULT log_config_append
glance-cache-pruner DEFAULT log_use_syslog yes DEFAULT use_syslog
glance-api DEFAULT default_store swift glance_store default_store
glance-api DEFAULT known_stores a.b.Store glance_store known_stores
glance-scrubber DEFAULT filesystem_store_datadir /x glance_store filesystem_store_datadir
glance-scrubber DEFAULT filesystem_store_datadirs /x:1 glance_store filesystem_store_datadirs
glance-api DEFAULT filesystem_store_file_perm 640 glance_store filesystem_store_file_perm
glance-api DEFAULT swift_store_auth_address x glance_store swift_store_auth_address
glance-api DEFAULT swift_store_admin_tenants a:b,*:c glance_store swift_store_admin_tenants
glance-api DEFAULT s3_store_host x glance_store s3_store_host
glance-cache-prefetcher DEFAULT rbd_store_ceph_conf x glance_store rbd_store_ceph_conf
glance-api DEFAULT image_cache_datadir x DEFAULT image_cache_dir
glance-api DEFAULT image_cache_max_size_bytes 7 DEFAULT image_cache_max_size
glance-cache-cleaner DEFAULT image_cache_stall_timeout 7 DEFAULT image_cache_stall_time
glance-api DEFAULT notification_driver messagingv2 oslo_messaging_notifications driver
glance-api DEFAULT notification_topics x DEFAULT rabbit_notification_topic
glance-api oslo_messaging_notifications topics x DEFAULT rabbit_notification_topic
glance-api oslo_messaging_rabbit rabbit_host x DEFAULT rabbit_host
glance-api oslo_messaging_rabbit rabbit_password x DEFAULT rabbit_password
glance-api oslo_messaging_rabbit rabbit_max_retries 7 DEFAULT rabbit_max_retries
glance-api DEFAULT rabbit_hosts x,y oslo_messaging_rabbit rabbit_hosts
glance-api DEFAULT kombu_ssl_version x oslo_messaging_rabbit kombu_ssl_version
glance-api DEFAULT qpid_hostname x DEFAULT qpid_host
"""

SECRETS = """
metadata_encryption_key admin_password admin_token connection slave_connection swift_store_key s3_store_access_key
s3_store_secret_key rabbit_password qpid_password transport_url hmac_keys password
"""


def options_of(letter):
    return {(section.group, option.dest): option for section in programs.sections(letter) for option in section.options}


def written(value):
    if value is None:
        return "-"
    return ",".join(value) if isinstance(value, list) else str(value)


def value_of(conf, group, name):
    return conf[name] if group == "DEFAULT" else conf[group][name]


@pytest.mark.parametrize("row", ROWS.strip().splitlines(), ids=lambda row: ".".join(row.split()[1:3]))
def test_default_and_programs(row):
    letters, group, name, default = (row + " ").split(" ", 3)
    found = {letter: options for letter in "ARSCMP" for options in [options_of(letter)] if (group, name) in options}
    assert "".join(found) == "".join(sorted(letters, key="ARSCMP".index))
    for options in found.values():
        assert written(options[group, name].default) == default.strip()


def test_port_and_workers(load):
    assert load("", "glance-api").bind_port == 9292
    assert load("", "glance-registry").bind_port == 9191
    assert load("").workers == os.cpu_count()
    assert load("[DEFAULT]\nbind_port = 0\n", "glance-registry").bind_port == 0


def test_cors_defaults_unite_both_lists(load):
    conf = load("")
    assert {"Cache-Control", "X-OpenStack-Request-ID", "Content-MD5"} <= set(conf.cors.allow_headers)
    assert {"Last-Modified", "X-Subject-Token"} <= set(conf.cors.expose_headers)


def test_every_option_is_documented():
    for letter in "ARSCMP":
        for (group, name), option in options_of(letter).items():
            place = (group, name)
            if place not in {("DEFAULT", old) for old in programs.aliases.MOVED}:
                assert option.help and option.help.strip(), place


def test_secrets_are_marked():
    marked = {name for letter in "ARSCM" for (_, name), option in options_of(letter).items() if option.secret}
    assert set(SECRETS.split()) <= marked
    for letter in "ARSCM":
        for (group, name), option in options_of(letter).items():
            # The library registers these itself.
            if any(part in name for part in ("password", "secret_key", "encryption_key")) and group != "healthcheck":
                assert option.secret, (group, name)


@pytest.mark.parametrize("row", OLD_NAMES.strip().splitlines(), ids=lambda row: ".".join(row.split()[1:3]))
def test_old_name(load, caplog, row):
    program, old_group, old_name, text, group, name = row.split()
    default = value_of(load("", program), group, name)
    value = value_of(load(f"[{old_group}]\n{old_name} = {text}\n", program), group, name)
    assert value != default
    caplog.clear()
    new_text = {"yes": "no", "no": "yes"}.get(text, text[:-1] + "8")
    both = f"[{old_group}]\n{old_name} = {text}\n[{group}]\n{name} = {new_text}\n"
    only = f"[{group}]\n{name} = {new_text}\n"
    expected = value_of(load(only, program), group, name)
    assert expected != value
    assert value_of(load(both, program), group, name) == expected


def test_old_names_are_logged_once(load, caplog):
    from oslo_log import versionutils

    versionutils._deprecated_messages_sent.clear()
    text = "[DEFAULT]\nsql_connection = x\npolicy_file = y\n"
    for _ in range(2):
        load(text)
    assert caplog.text.count('Option "sql_connection" from group "DEFAULT" is deprecated') == 1
    assert caplog.text.count("Option policy_file in [DEFAULT] is deprecated") == 1


def test_unknown_options_and_sections_are_ignored(load):
    assert load("[DEFAULT]\nno_such = 1\n[nowhere]\nx = y\n").workers == os.cpu_count()


@pytest.mark.parametrize("text", ["true", "1", "Yes", "ON", "True"])
def test_booleans(load, text):
    assert load(f"[DEFAULT]\nshow_image_direct_url = {text}\n").show_image_direct_url is True


def test_syntax(load):
    conf = load(
        "# comment\n[DEFAULT]\n; comment\nadmin_role: boss\nbind_host = ${admin_role}.example\n"
        "swift_store_admin_tenants = service:glance,*:admin\nfilesystem_store_datadirs = /a:1\n"
        "filesystem_store_datadirs = /b:2\nrabbit_password = a$$b\n"
    )
    assert conf.bind_host == "boss.example"
    assert conf.glance_store.swift_store_admin_tenants == ["service:glance", "*:admin"]
    assert conf.glance_store.filesystem_store_datadirs == ["/a:1", "/b:2"]
    assert conf.rabbit_password == "a$b"


def test_environment(load, monkeypatch):
    monkeypatch.setenv("OS_DATABASE__CONNECTION", "from-environment")
    assert load("[database]\nconnection = x\n").database.connection == "from-environment"


def test_options_without_effect_say_so(load, caplog):
    load("[DEFAULT]\npydev_worker_debug_port = 5678\npublish_errors = true\n")
    assert "Option pydev_worker_debug_port has no effect" in caplog.text
    assert "Option publish_errors has no effect" in caplog.text
    assert "executor_thread_pool_size" not in caplog.text


def test_is_set(load):
    from glance.common.config import is_set

    conf = load(
        "[DEFAULT]\nworkers = 3\npolicy_file = x\n[glance_store]\nfilesystem_store_file_perm = 0\n", "glance-api", "-d"
    )
    assert is_set(conf, "workers") and is_set(conf, "debug") and is_set(conf, "policy_file", "oslo_policy")
    assert is_set(conf, "filesystem_store_file_perm", "glance_store")
    assert not is_set(conf, "verbose") and not is_set(conf, "policy_dirs", "oslo_policy")
    assert not is_set(conf, "filesystem_store_datadir", "glance_store") and not is_set(conf, "image_cache_dir")


def test_libraries_register_the_same_options_later(load):
    from oslo_middleware import cors, healthcheck, http_proxy_to_wsgi
    from oslo_policy import policy
    from osprofiler import opts

    conf = load("[oslo_policy]\npolicy_file = x.json\n")
    assert policy.Enforcer(conf).policy_file == "x.json"
    cors.CORS(None, conf)
    http_proxy_to_wsgi.HTTPProxyToWSGI(None, conf)
    healthcheck.Healthcheck(None, {"backends": "disable_by_file", "disable_by_file_path": "/no/such"})
    opts.set_defaults(conf)
    assert conf.profiler.hmac_keys == "SECRET_KEY"


def test_two_programs_in_one_process():
    conf = cfg.ConfigOpts()
    for _ in range(2):
        for program in programs.PROGRAMS:
            programs.register(conf, program)


def test_driver_options_fit_any_group():
    from glance.common.config.store import driver_options

    conf = cfg.ConfigOpts()
    for group in ("fast", "slow"):
        conf.register_opts(driver_options(), group=group)
    conf([], default_config_files=[])
    assert conf.fast.filesystem_store_datadir == conf.slow.filesystem_store_datadir
