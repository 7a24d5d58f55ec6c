"""What the volumes of a pod may be, one source each, and what each source needs.

`podspec_rules.py` calls `validate_volumes`. Texts are those of k8s.io/kubernetes `pkg/apis/core/validation`; sources
of vendors, which upstream hands over to CSI drivers, are checked for what they cannot do without.
"""

from __future__ import annotations

from collections.abc import Sequence
from re import compile as regex
from typing import TYPE_CHECKING

from kijabi.api.core.env_rules import FILE_FIELDS, validate_field, validate_resource_field
from kijabi.api.core.kinds import PULL_POLICIES
from kijabi.api.core.paths_rules import descending, file_mode, no_backsteps, unreserved
from kijabi.api.core.persistentvolumeclaim_rules import validate_claim_spec
from kijabi.api.core.security_rules import user_id
from kijabi.api.core.volume import VolumeSource
from kijabi.api.formats import dns_label, dns_subdomain, in_range, size
from kijabi.api.resource import FieldError
from kijabi.api.shape import fields
from kijabi.api.validation import (
    duplicate,
    each,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
    validate_annotations,
    validate_label_selector,
    validate_labels,
)

if TYPE_CHECKING:
    from kijabi.api.core.volume import (
        ClusterTrustBundleProjection,
        CSIVolumeSource,
        DownwardAPIVolumeFile,
        EmptyDirVolumeSource,
        EphemeralVolumeSource,
        HostPathVolumeSource,
        KeyToPath,
        NFSVolumeSource,
        PodCertificateProjection,
        ServiceAccountTokenProjection,
        Volume,
        VolumeProjection,
    )
    from kijabi.api.core.volumevendor import FCVolumeSource, ISCSIPersistentVolumeSource, ISCSIVolumeSource
    from kijabi.api.struct import Struct

_HOST_PATHS = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_KEYS = ("RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519")
_ALONE = "may not specify more than 1 volume type"
_CONFLICT = "conflicting duplicate paths"
_ISCSI_NAMES = (
    regex(r"iqn\.[0-9]{4}-[0-9]{2}\.[A-Za-z0-9.-]+:[^,;*&$|\s]+"),
    regex("eui.[A-Za-z0-9]{16}"),
    regex("naa.[A-Za-z0-9]{32}"),
)
_SOURCES = VolumeSource.__struct_fields__
_LONGEST_DRIVER = 63
_SHORTEST_TOKEN_SECONDS, _LONGEST_TOKEN_SECONDS = 600, 2**32
_SHORTEST_CERTIFICATE_SECONDS, _LONGEST_CERTIFICATE_SECONDS = 3600, 7862400


def validate_volumes(path: str, volumes: Sequence[Volume], pod: str = "") -> tuple[dict[str, Volume], list[FieldError]]:
    """The sound volumes by name, and what is wrong with the others; pod: its name, where it is known."""
    errors: list[FieldError] = []
    sound: dict[str, Volume] = {}
    made = {f"{pod}-{volume.name}" for volume in volumes if pod and volume.ephemeral is not None}
    for index, volume in enumerate(volumes):
        here = f"{path}[{index}]"
        found = _validate_source(here, volume, pod)
        if not volume.name:
            found.append(required(f"{here}.name"))
        else:
            found += each(f"{here}.name", volume.name, dns_label(volume.name))
        if volume.name in sound:
            found.append(duplicate(f"{here}.name", volume.name))
        if not found:
            sound[volume.name] = volume
        errors += found
        claim = volume.persistentVolumeClaim
        if claim is not None and claim.claimName in made:
            detail = "must not reference a PVC that gets created for an ephemeral volume"
            errors.append(invalid(f"{here}.persistentVolumeClaim.claimName", claim.claimName, detail))
    return sound, errors


def _validate_source(path: str, volume: Volume, pod: str) -> list[FieldError]:
    given = [name for name in _SOURCES if getattr(volume, name) is not None]
    if not given:
        return [required(path, "must specify a volume type")]
    if "emptyDir" in given:
        given.sort(key=lambda name: name != "emptyDir")
    errors = [forbidden(f"{path}.{name}", _ALONE) for name in given[1:]]
    name = given[0]
    here, source = f"{path}.{name}", getattr(volume, name)
    match name:
        case "emptyDir":
            errors += _validate_empty_dir(here, source)
        case "hostPath":
            errors += validate_host_path(here, source)
        case "secret":
            errors += _required(here, secretName=source.secretName) + _validate_files(here, source, source.items)
        case "configMap":
            errors += _required(here, name=source.name) + _validate_files(here, source, source.items)
        case "downwardAPI":
            errors += file_mode(f"{here}.defaultMode", source.defaultMode)
            errors += user_id(f"{here}.defaultUser", source.defaultUser)
            errors += [error for file in source.items for error in _validate_downward(here, file)]
        case "projected":
            errors += _validate_projected(here, source.sources)
            errors += file_mode(f"{here}.defaultMode", source.defaultMode)
            errors += user_id(f"{here}.defaultUser", source.defaultUser)
        case "nfs":
            errors += validate_nfs(here, source)
        case "csi":
            errors += _validate_csi(here, source)
        case "ephemeral":
            errors += _validate_ephemeral(here, source)
            if pod and volume.name:
                claim = f"{pod}-{volume.name}"
                texts = [f'PVC name "{claim}": {problem}' for problem in dns_subdomain(claim)]
                errors += each(f"{path}.name", volume.name, texts)
        case "image":
            errors += _required(here, reference=source.reference)
            if source.pullPolicy not in PULL_POLICIES:
                errors.append(not_supported(f"{here}.pullPolicy", source.pullPolicy, PULL_POLICIES))
        case "gitRepo":
            errors += _required(here, repository=source.repository)
            errors += descending(f"{here}.directory", source.directory)
        case "iscsi":
            errors += validate_needed(here, source) + validate_iscsi(here, source)
        case "fc":
            errors += validate_fibre_channel(here, source)
        case _:
            errors += validate_needed(here, source)
    return errors


def _required(path: str, /, **given: str) -> list[FieldError]:
    return [required(f"{path}.{name}") for name, value in given.items() if not value]


def validate_needed(path: str, source: Struct) -> list[FieldError]:
    """An error for each text that the type calls required and that is empty."""
    needed = [field for field in fields(type(source)).values() if field.tag.required]
    return [required(f"{path}.{field.name}") for field in needed if getattr(source, field.attribute) in ("", ())]


def validate_iscsi(
    path: str, source: ISCSIVolumeSource | ISCSIPersistentVolumeSource, *, in_pod: bool = True
) -> list[FieldError]:
    """Errors of names and number of an iSCSI disk. in_pod: of a pod's own, of which upstream says a little more."""
    errors = _iscsi_name(f"{path}.iqn", source.iqn, in_pod) if source.iqn else []
    errors += each(f"{path}.lun", source.lun, in_range(source.lun, 0, 255))
    if (source.chapAuthDiscovery or source.chapAuthSession) and source.secretRef is None:
        errors.append(required(f"{path}.secretRef"))
    name = source.initiatorName
    return errors + (_iscsi_name(f"{path}.initiatorname", name, in_pod) if name else [])


def _iscsi_name(path: str, text: str, in_pod: bool) -> list[FieldError]:
    if in_pod and text[:3] not in ("iqn", "eui", "naa"):
        return [invalid(path, text, "must be valid format starting with iqn, eui, or naa")]
    good = any(form.fullmatch(text) for form in _ISCSI_NAMES)
    return [] if good else [invalid(path, text, "must be valid format")]


def validate_fibre_channel(path: str, source: FCVolumeSource) -> list[FieldError]:
    """Errors of how a Fibre Channel disk is found: by the ports and a number, or by its own name."""
    here, errors = f"{path}.targetWWNs", []
    if not source.targetWWNs and not source.wwids:
        errors.append(required(here, "must specify either targetWWNs or wwids, but not both"))
    if source.targetWWNs and source.wwids:
        text = "targetWWNs and wwids can not be specified simultaneously"
        errors.append(invalid(here, list(source.targetWWNs), text))
    if source.targetWWNs and source.lun is None:
        errors.append(required(f"{path}.lun", "lun is required if targetWWNs is specified"))
    elif source.targetWWNs and source.lun is not None:
        errors += each(f"{path}.lun", source.lun, in_range(source.lun, 0, 255))
    return errors


def _validate_empty_dir(path: str, source: EmptyDirVolumeSource) -> list[FieldError]:
    errors = file_mode(f"{path}.mode", source.mode, 0o1777)
    if source.sizeLimit is not None and source.sizeLimit.exact() < 0:
        errors.append(forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity"))
    return errors


def validate_nfs(path: str, source: NFSVolumeSource) -> list[FieldError]:
    """Errors of a directory that a server shares."""
    errors = _required(path, server=source.server, path=source.path)
    absolute = source.path.startswith("/")
    return errors if absolute else [*errors, invalid(f"{path}.path", source.path, "must be an absolute path")]


def validate_host_path(path: str, source: HostPathVolumeSource) -> list[FieldError]:
    """Errors of a path on the node."""
    if not source.path:
        return [required(f"{path}.path")]
    errors = no_backsteps(f"{path}.path", source.path)
    if source.type is not None and source.type not in _HOST_PATHS:
        errors.append(not_supported(f"{path}.type", source.type, _HOST_PATHS))
    return errors


def validate_driver(path: str, name: str) -> list[FieldError]:
    """Errors of the name of a CSI driver."""
    if not name:
        return [required(path)]
    errors = [too_long(path, _LONGEST_DRIVER)] if size(name) > _LONGEST_DRIVER else []
    return errors + each(path, name, dns_subdomain(name.lower()))


def _validate_csi(path: str, source: CSIVolumeSource) -> list[FieldError]:
    errors: list[FieldError] = []
    errors += validate_driver(f"{path}.driver", source.driver)
    secret = source.nodePublishSecretRef
    if secret is not None:
        errors += _required(f"{path}.nodePublishSecretRef", name=secret.name)
        errors += each(f"{path}.name", secret.name, dns_subdomain(secret.name) if secret.name else ())
    return errors


def _validate_ephemeral(path: str, source: EphemeralVolumeSource) -> list[FieldError]:
    path, template = f"{path}.volumeClaimTemplate", source.volumeClaimTemplate
    if template is None:
        return [required(path)]
    own = template.metadata
    errors = validate_annotations(own.annotations, f"{path}.metadata.annotations")
    errors += validate_labels(own.labels, f"{path}.metadata.labels")
    for name in ("name", "generateName", "namespace", "uid", "finalizers", "ownerReferences"):
        if getattr(own, name):
            errors.append(forbidden(f"{path}.metadata.{name}", "cannot be set"))
    return errors + validate_claim_spec(f"{path}.spec", template.spec)


# Files


def _validate_files(path: str, source: Struct, items: Sequence[KeyToPath]) -> list[FieldError]:
    errors = file_mode(f"{path}.defaultMode", getattr(source, "defaultMode", None))
    errors += user_id(f"{path}.defaultUser", getattr(source, "defaultUser", None))
    for index, item in enumerate(items):
        here = f"{path}.items[{index}]"
        errors += _required(here, key=item.key, path=item.path)
        errors += unreserved(f"{here}.path", item.path)
        errors += file_mode(f"{here}.mode", item.mode) + user_id(f"{here}.user", item.user)
    return errors


def _validate_downward(path: str, file: DownwardAPIVolumeFile) -> list[FieldError]:
    errors = _required(path, path=file.path) + unreserved(f"{path}.path", file.path)
    if file.fieldRef is not None:
        errors += validate_field(f"{path}.fieldRef", file.fieldRef, FILE_FIELDS)
        if file.resourceFieldRef is not None:
            detail = "fieldRef and resourceFieldRef can not be specified simultaneously"
            errors.append(invalid(path, "resource", detail))
    elif file.resourceFieldRef is not None:
        errors += validate_resource_field(f"{path}.resourceFieldRef", file.resourceFieldRef, in_file=True)
    else:
        errors.append(required(path, "one of fieldRef and resourceFieldRef is required"))
    return errors + file_mode(f"{path}.mode", file.mode) + user_id(f"{path}.user", file.user)


def _validate_projected(path: str, sources: Sequence[VolumeProjection]) -> list[FieldError]:
    errors: list[FieldError] = []
    taken: set[str] = set()
    for index, source in enumerate(sources):
        here = f"{path}.sources[{index}]"
        given = [name for name in source.__struct_fields__ if getattr(source, name) is not None]
        for name in given:
            errors += _validate_projection(path, f"{here}.{name}", source, name, taken)
        if len(given) > 1:
            errors.append(forbidden(here, "may not specify more than 1 volume type per source"))
    return errors


def _validate_projection(
    path: str, here: str, source: VolumeProjection, name: str, taken: set[str]
) -> list[FieldError]:
    errors: list[FieldError] = []
    if source.secret is not None and name == "secret":
        errors += _required(here, name=source.secret.name) + _validate_files(here, source.secret, source.secret.items)
        errors += _claim(path, taken, [(item.path, source.secret.name) for item in source.secret.items])
    elif source.configMap is not None and name == "configMap":
        configs = source.configMap
        errors += _required(here, name=configs.name) + _validate_files(here, configs, configs.items)
        errors += _claim(path, taken, [(item.path, configs.name) for item in configs.items])
    elif source.downwardAPI is not None and name == "downwardAPI":
        files = source.downwardAPI.items
        errors += [error for file in files for error in _validate_downward(here, file)]
        errors += _claim(path, taken, [(file.path, file.path) for file in files])
    elif source.serviceAccountToken is not None and name == "serviceAccountToken":
        errors += _validate_token(path, here, source.serviceAccountToken)
    elif source.clusterTrustBundle is not None and name == "clusterTrustBundle":
        errors += _validate_bundle(here, source.clusterTrustBundle)
        errors += _claim(path, taken, [(source.clusterTrustBundle.path, source.clusterTrustBundle.path)])
    elif source.podCertificate is not None and name == "podCertificate":
        certificate = source.podCertificate
        paths = (certificate.credentialBundlePath, certificate.keyPath, certificate.certificateChainPath)
        errors += _validate_certificate(here, certificate)
        errors += _claim(path, taken, [(each_, each_) for each_ in paths])
    return errors


def _claim(path: str, taken: set[str], files: Sequence[tuple[str, str]]) -> list[FieldError]:
    """An error for each file that another source makes already."""
    errors: list[FieldError] = []
    for file, shown in files:
        if file and file in taken:
            errors.append(invalid(path, shown, _CONFLICT))
        taken.add(file)
    return errors


def _validate_token(path: str, here: str, token: ServiceAccountTokenProjection) -> list[FieldError]:
    errors: list[FieldError] = []
    seconds, place = token.expirationSeconds, f"{here}.expirationSeconds"
    if seconds is None:
        errors.append(required(place))
    elif seconds < _SHORTEST_TOKEN_SECONDS:
        errors.append(invalid(place, seconds, "may not specify a duration less than 10 minutes"))
    elif seconds > _LONGEST_TOKEN_SECONDS:
        errors.append(invalid(place, seconds, "may not specify a duration larger than 2^32 seconds"))
    errors += unreserved(f"{path}.path", token.path) if token.path else [required(f"{path}.path")]
    return errors + user_id(f"{here}.user", token.user)


def _validate_bundle(path: str, bundle: ClusterTrustBundleProjection) -> list[FieldError]:
    errors: list[FieldError] = []
    if bundle.name is not None and bundle.signerName is not None:
        errors.append(invalid(path, bundle, "only one of name and signerName may be used"))
    elif bundle.name is not None:
        if not bundle.name:
            errors.append(required(f"{path}.name", "must be a valid object name"))
        if bundle.labelSelector is not None:
            detail = "labelSelector must be unset if name is specified"
            errors.append(invalid(f"{path}.labelSelector", bundle.labelSelector, detail))
    elif bundle.signerName is not None:
        if not bundle.signerName:
            errors.append(required(f"{path}.signerName", "must be a valid signer name"))
        errors += validate_label_selector(bundle.labelSelector, f"{path}.labelSelector")
    else:
        errors.append(required(path, "either name or signerName must be specified"))
    errors += _required(path, path=bundle.path) + user_id(f"{path}.user", bundle.user)
    return errors + unreserved(f"{path}.path", bundle.path)


def _validate_certificate(path: str, certificate: PodCertificateProjection) -> list[FieldError]:
    errors = _required(path, signerName=certificate.signerName) + user_id(f"{path}.user", certificate.user)
    if certificate.keyType not in _KEYS:
        errors.append(not_supported(f"{path}.keyType", certificate.keyType, _KEYS))
    seconds, place = certificate.maxExpirationSeconds, f"{path}.maxExpirationSeconds"
    if seconds is not None and seconds < _SHORTEST_CERTIFICATE_SECONDS:
        detail = f"if provided, maxExpirationSeconds must be >= {_SHORTEST_CERTIFICATE_SECONDS}"
        errors.append(invalid(place, seconds, detail))
    if seconds is not None and seconds > _LONGEST_CERTIFICATE_SECONDS:
        detail = f"if provided, maxExpirationSeconds must be <= {_LONGEST_CERTIFICATE_SECONDS}"
        errors.append(invalid(place, seconds, detail))
    names = [name for name in ("credentialBundlePath", "keyPath", "certificateChainPath") if getattr(certificate, name)]
    for name in names:
        errors += unreserved(f"{path}.{name}", getattr(certificate, name))
    if not names:
        detail = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath"
        errors.append(required(path, detail))
    return errors
