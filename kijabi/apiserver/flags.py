"""What the administrator may set of the API server: kube-apiserver's own flags, as far as they mean something here.

`kijabi up --apiserver-arg audit-policy-file=/etc/audit.yaml` keeps them in the cluster's directory; `cmd/apiserver.py`
parses them and gives `Flags` to the parts. A new flag is one line in `Flags`: its type says how its text is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from kijabi.api.flags import Reader, Seconds, Whole


class Flags(msgspec.Struct, frozen=True, kw_only=True):
    """The settings, by upstream's names with underscores (reference page "kube-apiserver"). None: not given.

    A tuple is a flag that may come again, each time with one value or, of plain texts, several between commas.
    """

    # Authentication and authorisation
    anonymous_auth: bool | None = None  # let in whoever shows no credentials: true, unless a file says otherwise
    api_audiences: tuple[str, ...] = ()  # of this server's tokens; without any, its issuers
    authentication_config: Path | None = None  # AuthenticationConfiguration: issuers of JWTs, anonymous requests
    authentication_token_webhook_cache_ttl: Seconds = Seconds(120.0)
    authentication_token_webhook_config_file: Path | None = None  # a kubeconfig that leads to the webhook
    authentication_token_webhook_version: str = "v1beta1"  # of TokenReview, as the webhook speaks it
    authorization_config: Path | None = None  # AuthorizationConfiguration: instead of the following
    authorization_mode: tuple[str, ...] = ()  # in this order; Node,RBAC without any
    authorization_policy_file: Path | None = None  # of mode ABAC
    authorization_webhook_cache_authorized_ttl: Seconds | None = None  # 5m0s
    authorization_webhook_cache_unauthorized_ttl: Seconds | None = None  # 30s
    authorization_webhook_config_file: Path | None = None  # a kubeconfig that leads to the webhook
    authorization_webhook_version: str | None = None  # of SubjectAccessReview: v1beta1
    enable_bootstrap_token_auth: bool = False  # Secrets of this type in kube-system are tokens
    oidc_ca_file: Path | None = None  # who signs the issuer's certificate; the machine's roots without it
    oidc_client_id: str | None = None  # the audience of the issuer's tokens
    oidc_groups_claim: str | None = None
    oidc_groups_prefix: str | None = None
    oidc_issuer_url: str | None = None
    oidc_required_claim: tuple[Whole, ...] = ()  # name=value
    oidc_signing_algs: tuple[str, ...] = ()  # RS256 without any
    oidc_username_claim: str | None = None  # sub
    oidc_username_prefix: str | None = None  # the issuer and #, but none before an email; "-" for none at all
    service_account_extend_token_expiration: bool = True  # a year for the tokens that kubelets ask for
    service_account_issuer: tuple[Whole, ...] = ()  # the first for new tokens, all are believed
    service_account_jwks_uri: str | None = None  # where others are told to find the keys
    service_account_key_file: tuple[Path, ...] = ()  # keys that count beside those in the cluster's directory
    service_account_lookup: bool = True  # whether tokens kept in Secrets end with these
    service_account_max_token_expiration: Seconds = Seconds(0.0)
    token_auth_file: Path | None = None  # lines of token,user,uid,"group,group"
    # Flow control and limits
    max_requests_inflight: int = 400  # seats; with the next one, what the priority levels share
    max_mutating_requests_inflight: int = 200
    enable_priority_and_fairness: bool = True  # false: the two limits above, of reads and of writes, and no queues
    request_timeout: Seconds = Seconds(60.0)  # that any request but a watch or a stream may take
    min_request_timeout: int = 1800  # seconds; a watch without timeoutSeconds lasts up to twice this
    max_watches_per_user: int = 5000  # at once; 0 for no limit. Not upstream's
    max_connections: int = 20_000  # at once; more are closed as they come, 0 for no limit. Not upstream's
    # What is served
    feature_gates: tuple[str, ...] = ()  # NAME=true: what is off by default (api/features.py)
    runtime_config: tuple[str, ...] = ()  # GROUP/VERSION=true: versions that are off by default
    # Audit and events
    audit_policy_file: Path | None = None  # what is recorded; without it nothing is
    audit_log_path: Path | None = None  # "-" for standard output
    audit_log_format: str = "json"  # or legacy
    audit_log_maxage: int = 366  # days that old files are kept, 0 for ever
    audit_log_maxbackup: int = 100  # old files that are kept, 0 for all
    audit_log_maxsize: int = 100  # megabytes at which a file is put away, 0 for never
    audit_log_compress: bool = False  # the files that are put away
    audit_log_version: str = "audit.k8s.io/v1"
    audit_log_mode: str = "blocking"  # or batch, blocking-strict
    audit_log_batch_buffer_size: int = 10_000  # events that wait; more are dropped
    audit_log_batch_max_size: int = 1
    audit_log_batch_max_wait: Seconds = Seconds(0.0)
    audit_log_batch_throttle_enable: bool = False
    audit_log_batch_throttle_qps: float = 0.0
    audit_log_batch_throttle_burst: int = 0
    audit_log_truncate_enabled: bool = False
    audit_log_truncate_max_batch_size: int = 10 * 1024 * 1024
    audit_log_truncate_max_event_size: int = 100 * 1024
    audit_webhook_config_file: Path | None = None  # a kubeconfig that leads to the webhook
    audit_webhook_initial_backoff: Seconds = Seconds(10.0)  # before the first repetition
    audit_webhook_batch_initial_backoff: Seconds | None = None  # the older name of that
    audit_webhook_version: str = "audit.k8s.io/v1"
    audit_webhook_mode: str = "batch"  # or blocking, blocking-strict
    audit_webhook_batch_buffer_size: int = 10_000
    audit_webhook_batch_max_size: int = 400
    audit_webhook_batch_max_wait: Seconds = Seconds(30.0)
    audit_webhook_batch_throttle_enable: bool = True
    audit_webhook_batch_throttle_qps: float = 10.0
    audit_webhook_batch_throttle_burst: int = 15
    audit_webhook_truncate_enabled: bool = False
    audit_webhook_truncate_max_batch_size: int = 10 * 1024 * 1024
    audit_webhook_truncate_max_event_size: int = 100 * 1024
    event_ttl: Seconds = Seconds(3600.0)  # that an Event is kept after its last write


READER = Reader(Flags, "--apiserver-arg", "the API server")


def parse(arguments: Sequence[str]) -> Flags:
    """The settings that these arguments ask for. Raises ConfigError in words."""
    return READER.parse(arguments)


def absolute(arguments: Sequence[str], base: Path) -> tuple[str, ...]:
    """The same arguments, with relative paths made absolute, for a process that starts elsewhere."""
    return READER.absolute(arguments, base)
