"""The audit log that the flags ask for, or none.

`app.py` calls `auditor` when the server starts. Flags and their rules: k8s.io/apiserver `pkg/server/options/audit.go`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kijabi.apiserver.flags import Flags
from kijabi.base.errors import ConfigError

if TYPE_CHECKING:
    from kijabi.apiserver.audit.auditor import Auditor
    from kijabi.apiserver.audit.counts import Counts
    from kijabi.apiserver.audit.sinks import Delivery, Sink

log = logging.getLogger(__name__)

API_VERSION = "audit.k8s.io/v1"
FORMATS = ("legacy", "json")
MODES = ("batch", "blocking", "blocking-strict")


class _Options(NamedTuple):
    """The flags that the log and the webhook both have."""

    name: str
    version: str
    mode: str
    buffer_size: int
    max_size: int
    max_wait: float
    throttle: bool
    qps: float
    burst: int
    truncate: bool
    max_batch_bytes: int
    max_event_bytes: int


def _options(flags: Flags, name: str) -> _Options:
    ends = (
        "version", "mode", "batch_buffer_size", "batch_max_size", "batch_max_wait", "batch_throttle_enable",
        "batch_throttle_qps", "batch_throttle_burst", "truncate_enabled", "truncate_max_batch_size",
        "truncate_max_event_size",
    )  # fmt: skip
    return _Options(name, *(getattr(flags, f"audit_{name}_{end}") for end in ends))


def check(flags: Flags) -> None:
    """Raises ConfigError for flags of the audit log that make no sense, as kube-apiserver words it."""
    problems = list(_problems(flags))
    if problems:
        raise ConfigError(problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")


def _problems(flags: Flags) -> Iterator[str]:
    if flags.audit_log_path is not None:
        yield from _common(_options(flags, "log"))
        if flags.audit_log_format not in FORMATS:
            shown = ",".join(FORMATS)
            yield f'invalid audit log format {flags.audit_log_format}, allowed formats are "{shown}"'
        for name in ("maxage", "maxbackup", "maxsize"):
            value = getattr(flags, f"audit_log_{name}")
            if value < 0:
                yield f"--audit-log-{name} {value} can't be a negative number"
    if flags.audit_webhook_config_file is not None:
        yield from _common(_options(flags, "webhook"))


def _common(options: _Options) -> Iterator[str]:
    batch = f"invalid audit batch {options.name}"
    positive = "must be a positive number"
    if options.mode not in MODES:
        yield f'invalid audit {options.name} mode {options.mode}, allowed modes are "{",".join(MODES)}"'
    elif options.mode == "batch":
        if options.buffer_size <= 0:
            yield f"{batch} buffer size {options.buffer_size}, {positive}"
        elif options.max_size <= 0:
            yield f"{batch} max batch size {options.max_size}, {positive}"
        elif options.throttle and options.qps <= 0:
            yield f"{batch} throttle QPS {options.qps:g}, {positive}"
        elif options.throttle and options.burst <= 0:
            yield f"{batch} throttle burst {options.burst}, {positive}"
    cut = f"invalid audit truncate {options.name}"
    most, size = options.max_batch_bytes, options.max_event_bytes
    if size <= 0:
        yield f"{cut} max event size {size}, {positive}"
    elif most < size:
        yield f"{cut} max batch size {most}, must be greater than max event size ({size})"
    if options.version != API_VERSION:
        yield f'invalid group version, allowed versions are ["{API_VERSION}"]'


def auditor(flags: Flags, counts: Counts) -> Auditor | None:
    """The audit log, if there is a policy and a place to write to. Raises ConfigError."""
    check(flags)
    if flags.audit_policy_file is None:
        if flags.audit_log_path is not None or flags.audit_webhook_config_file is not None:
            log.warning("no audit policy file provided, no events will be recorded")
        return None
    # Only who wants an audit log pays for loading it.
    from kijabi.apiserver.audit import policy
    from kijabi.apiserver.audit.auditor import Auditor

    policies = policy.load(flags.audit_policy_file)
    sinks = []
    if flags.audit_log_path is not None:
        sinks.append(_sink(_options(flags, "log"), _log(flags, flags.audit_log_path), counts))
    if flags.audit_webhook_config_file is not None:
        sinks.append(_sink(_options(flags, "webhook"), _webhook(flags, flags.audit_webhook_config_file), counts))
    return Auditor(policies, sinks, counts) if sinks else None


def _log(flags: Flags, path: Path) -> Delivery:
    from kijabi.apiserver.audit import logfile, rotation

    limits = rotation.Limits(
        size=flags.audit_log_maxsize * rotation.MEGABYTE,
        backups=flags.audit_log_maxbackup,
        days=flags.audit_log_maxage,
        compress=flags.audit_log_compress,
    )
    try:
        output = rotation.opened(path, limits)
    except OSError as error:
        raise ConfigError(f"ensureLogFile: {error}") from error
    return logfile.LogFile(output, logfile.legacy_line if flags.audit_log_format == "legacy" else logfile.json_line)


def _webhook(flags: Flags, path: Path) -> Delivery:
    from kijabi.apiserver.audit.webhook import Webhook
    from kijabi.apiserver.webhooks.calls import Configured

    first = flags.audit_webhook_initial_backoff
    if flags.audit_webhook_batch_initial_backoff is not None:
        first = flags.audit_webhook_batch_initial_backoff
    try:
        server = Configured(path)
    except ConfigError as error:
        raise ConfigError(f"initializing audit webhook: {error}") from error
    most = flags.audit_webhook_truncate_max_batch_size if flags.audit_webhook_truncate_enabled else 1 << 62
    return Webhook(server, first=first, most=most)


def _sink(options: _Options, delivery: Delivery, counts: Counts) -> Sink:
    from kijabi.apiserver.audit.sinks import MAX_UNDER_WAY, Batching, Blocking, Throttle, Truncating

    sink: Sink
    if options.mode == "batch":
        throttle = Throttle(options.qps, options.burst) if options.throttle else None
        sink = Batching(
            delivery, counts, size=options.buffer_size, batch=options.max_size, longest=options.max_wait,
            throttle=throttle, at_once=MAX_UNDER_WAY if options.name == "webhook" else 1,
        )  # fmt: skip
    else:
        sink = Blocking(delivery, counts, strict=options.mode == "blocking-strict")
    return Truncating(sink, counts, options.max_event_bytes) if options.truncate else sink
