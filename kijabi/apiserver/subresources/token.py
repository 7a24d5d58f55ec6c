"""serviceaccounts/token: makes a token for a service account (TokenRequest, KEP-1205).

Kubelets call it for the tokens of their pods, people with `kubectl create token`. The signature is
`authn/tokens.py`'s; which kubelet may ask for which token, `admission/noderestriction.py` says. Rules and texts:
k8s.io/kubernetes `pkg/registry/core/serviceaccount/storage/token.go`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from kijabi.api import validation
from kijabi.api.authentication.tokenrequest import BoundObjectReference, TokenRequest, TokenRequestStatus
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.secret import Secret
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.gotext import quote
from kijabi.api.meta import Time, time_now
from kijabi.api.resource import FieldError
from kijabi.api.status import bad_request, conflict, invalid, not_found
from kijabi.apiserver.admission.serviceaccount import TOKEN_SECONDS
from kijabi.apiserver.attributes import Reader
from kijabi.apiserver.authn import names
from kijabi.apiserver.authn.tokens import Claims, Keys, Kubernetes, Named
from kijabi.apiserver.call import Call
from kijabi.base import clock, rand
from kijabi.client.transport import Response

MIN_SECONDS = 600
MAX_SECONDS = 1 << 32
DEFAULT_SECONDS = 3600
EXTENDED_SECONDS = 365 * 24 * 3600
_KIND = "TokenRequest.authentication.k8s.io"


class TokenRequests:
    """Makes tokens. issuer: their `iss`. audiences: those of this API server, for requests that name none. longest:
    seconds that a token may be asked for, 0 for no bound; extends: whether those of kubelets last a year."""

    def __init__(
        self,
        keys: Keys,
        reader: Reader,
        issuer: str,
        audiences: Sequence[str],
        *,
        longest: float = 0.0,
        extends: bool = True,
    ) -> None:
        self._keys = keys
        self._reader = reader
        self._issuer = issuer
        self._audiences = tuple(audiences)
        self._longest = int(longest)
        self._extends = extends

    async def create(self, call: Call) -> Response:
        """POST …/serviceaccounts/NAME/token: 201 and the token. Raises NotFound, Invalid, Conflict, BadRequest."""
        request = call.body(TokenRequest)
        await call.admit("CREATE", request)  # before anything is filled in: it must see what was asked for
        name, namespace = call.info.name, call.info.namespace
        _match("name", request.metadata.name, name, name)
        _match("namespace", request.metadata.namespace, namespace, name)
        account = self._reader.get(ServiceAccount, name, namespace)
        if account is None:
            raise not_found("serviceaccounts", name)
        uid = request.metadata.uid
        if uid and uid != account.metadata.uid:
            text = (
                f"the UID in the token request ({uid}) does not match the UID of the service account "
                f"({account.metadata.uid})"
            )
            raise conflict(_KIND, name, text)
        spec = request.spec
        spec.audiences = spec.audiences or self._audiences
        if spec.expirationSeconds is None:
            spec.expirationSeconds = DEFAULT_SECONDS
        request.metadata.name, request.metadata.namespace = name, namespace
        request.metadata.uid = account.metadata.uid
        request.metadata.creationTimestamp = time_now()
        request.status = TokenRequestStatus()
        problems = _check(request)
        if problems:
            raise invalid(_KIND, "", problems)
        now = clock.wall()
        bound = self._bound(account, spec.boundObjectRef)
        seconds: int = spec.expirationSeconds
        claims = self._claims(account, bound, spec.audiences, seconds, now)
        call.audit_annotations["authentication.kubernetes.io/issued-credential-id"] = f"JTI={claims.jti}"
        request.status = TokenRequestStatus(
            token=self._keys.sign(claims),
            expirationTimestamp=Time.of(datetime.fromtimestamp(math.floor(now) + seconds, UTC)),
        )
        request.apiVersion, request.kind = "authentication.k8s.io/v1", "TokenRequest"
        return call.respond(request, 201)

    def _claims(
        self, account: ServiceAccount, bound: Kubernetes, audiences: tuple[str, ...], seconds: int, now: float
    ) -> Claims:
        """Old programs read their token once: one of a pod's default life lasts a year, and says when it should
        have been renewed (KEP-1205, safe rollout of time-bound tokens)."""
        issued = math.floor(now)
        life = seconds
        own = set(audiences) <= set(self._audiences)
        if self._extends and bound.pod is not None and seconds == TOKEN_SECONDS and own:
            life = EXTENDED_SECONDS
            bound = Kubernetes(
                namespace=bound.namespace,
                serviceaccount=bound.serviceaccount,
                pod=bound.pod,
                node=bound.node,
                warnafter=issued + seconds,
            )
        return Claims(
            iss=self._issuer,
            sub=names.user(account.metadata.namespace, account.metadata.name),
            aud=audiences,
            exp=issued + life,
            iat=issued,
            nbf=issued,
            jti=rand.uuid(),
            kubernetes=bound,
        )

    def _bound(self, account: ServiceAccount, ref: BoundObjectReference | None) -> Kubernetes:
        """What the token says about its service account and the object it is bound to."""
        namespace = account.metadata.namespace
        owner = Named(account.metadata.name, account.metadata.uid)
        pod = secret = node = None
        group, _, version = ref.apiVersion.rpartition("/") if ref is not None else ("", "", "")
        match (group, ref.kind) if ref is not None else None:
            case None:
                pass
            case ("", "Pod"):
                pod, node = self._pod(account, ref)
            case ("", "Secret"):
                secret = self._object(Secret, "secrets", ref, namespace)
            case ("", "Node"):
                node = self._object(Node, "nodes", ref, "")
            case (_, kind):
                what = f"{group}/{version}, Kind={kind}"
                raise bad_request(f"cannot bind token to object of type {what}")
        return Kubernetes(namespace=namespace, serviceaccount=owner, pod=pod, secret=secret, node=node)

    def _pod(self, account: ServiceAccount, ref: BoundObjectReference | None) -> tuple[Named, Named | None]:
        assert ref is not None
        bound = self._object(Pod, "pods", ref, account.metadata.namespace)
        pod = self._reader.get(Pod, ref.name, account.metadata.namespace)
        assert pod is not None
        name = account.metadata.name
        if pod.spec.serviceAccountName != name:
            text = (
                f"cannot bind token for serviceaccount {quote(name)} to pod running with different serviceaccount name."
            )
            raise bad_request(text)
        if not pod.spec.nodeName:
            return bound, None
        node = self._reader.get(Node, pod.spec.nodeName)
        return bound, Named(pod.spec.nodeName, node.metadata.uid if node is not None else "")

    def _object(self, cls: type[Any], plural: str, ref: BoundObjectReference | None, namespace: str) -> Named:
        assert ref is not None
        found = self._reader.get(cls, ref.name, namespace)
        if found is None:
            raise not_found(plural, ref.name)
        uid = found.metadata.uid
        if ref.uid and ref.uid != uid:
            text = (
                f"the UID in the bound object reference ({ref.uid}) does not match the UID in record. The object "
                "might have been deleted and then recreated"
            )
            raise conflict(ref.kind, ref.name, text)
        return Named(ref.name, uid)


def _match(field: str, given: str, wanted: str, name: str) -> None:
    if given and given != wanted:
        text = f"must match the service account {field} if specified"
        raise invalid(_KIND, name, [validation.invalid(f"metadata.{field}", given, text)])


def _check(request: TokenRequest) -> list[FieldError]:
    where, seconds = "spec.expirationSeconds", request.spec.expirationSeconds or 0
    problems: list[FieldError] = []
    if seconds < MIN_SECONDS:
        problems.append(validation.invalid(where, seconds, "may not specify a duration less than 10 minutes"))
    if seconds > MAX_SECONDS:
        text = "may not specify a duration larger than 2^32 seconds"
        problems.append(validation.invalid(where, seconds, text))
    if request.spec.attestations:
        text = "attestations may only be specified with a webhook bound object reference"
        return [validation.invalid("spec.attestations", request.spec.attestations, text)]
    return problems
