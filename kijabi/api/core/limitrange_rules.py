"""What limits must be: least not above most, defaults between them.

`limitrange.py` gives `validate` to its Resource. Texts are those of k8s.io/kubernetes `pkg/apis/core/validation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kijabi.api.core.resources_rules import may_overcommit, validate_container_name, validate_name
from kijabi.api.formats import qualified_name
from kijabi.api.quantity import Quantity
from kijabi.api.resource import FieldError
from kijabi.api.validation import duplicate, each, forbidden, invalid, required
from kijabi.base.rand import uuid

if TYPE_CHECKING:
    from kijabi.api.core.limitrange import LimitRange, LimitRangeItem


def prepare(new: LimitRange, old: LimitRange | None) -> None:
    """One without a name gets one that nobody has."""
    if old is None and not new.metadata.name and not new.metadata.generateName:
        new.metadata.name = uuid()


def validate(obj: LimitRange) -> Sequence[FieldError]:
    """Everything that is wrong with a range of limits."""
    errors: list[FieldError] = []
    kinds: set[str] = set()
    for index, limit in enumerate(obj.spec.limits):
        path, kind = f"spec.limits[{index}]", limit.type
        wrong = qualified_name(kind)
        if not wrong and "/" not in kind and kind not in ("Pod", "Container", "PersistentVolumeClaim"):
            wrong = ["must be a standard limit type or fully qualified"]
        errors += each(f"{path}.type", kind, wrong)
        errors += [duplicate(f"{path}.type", kind)] if kind in kinds else []
        kinds.add(kind)
        errors += _validate_names(path, limit)
        named = {*limit.max, *limit.min, *limit.default, *limit.defaultRequest, *limit.maxLimitRequestRatio}
        for name in sorted(named):
            errors += _validate_order(path, limit, name) + _validate_ratio(path, limit, name)
    return errors


def _validate_names(path: str, limit: LimitRangeItem) -> list[FieldError]:
    errors: list[FieldError] = []
    check = validate_container_name if limit.type in ("Pod", "Container") else validate_name
    for field in ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio"):
        amounts = getattr(limit, field)
        if limit.type == "Pod" and field.startswith("default"):
            detail = "may not be specified when `type` is 'Pod'"
            errors += [forbidden(f"{path}.{field}", detail)] if amounts else []
            continue
        if field == "maxLimitRequestRatio" and limit.type == "PersistentVolumeClaim":
            detail = "either minimum or maximum storage value is required, but neither was provided"
            errors += [] if "storage" in {*limit.min, *limit.max} else [required(f"{path}.limits", detail)]
        for name in amounts:
            errors += check(f"{path}.{field}[{name}]", name)
    return errors


def _validate_order(path: str, limit: LimitRangeItem, name: str) -> list[FieldError]:
    least, most = limit.min.get(name), limit.max.get(name)
    pod = limit.type == "Pod"
    default, request = (None if pod else each_.get(name) for each_ in (limit.default, limit.defaultRequest))
    # (the field, what its text shows, the smaller and the larger with their names)
    rules = (
        ("min", least, ("min", least), ("max", most)),
        ("defaultRequest", request, ("min", least), ("default request", request)),
        ("defaultRequest", request, ("default request", request), ("max", most)),
        ("defaultRequest", request, ("default request", request), ("default limit", default)),
        ("default", least, ("min", least), ("default", default)),
        ("default", most, ("default", default), ("max", most)),
    )
    errors = []
    for field, shown, (low_name, low), (high_name, high) in rules:
        if low is None or high is None or low.cmp(high) <= 0:
            continue
        if high_name == "default request" or (low_name, high_name) in (("min", "max"), ("min", "default")):
            detail = f"min value {low} is greater than {high_name} value {high}"
        else:
            detail = f"{low_name} value {low} is greater than {high_name} value {high}"
        errors.append(invalid(f"{path}.{field}[{name}]", str(shown), detail))
    if not may_overcommit(name) and default is not None and request is not None and default.cmp(request):
        detail = f"default value {default} must equal to defaultRequest value {request} in {name}"
        errors.append(invalid(f"{path}.defaultRequest[{name}]", str(request), detail))
    return errors


def _validate_ratio(path: str, limit: LimitRangeItem, name: str) -> list[FieldError]:
    ratio, least, most = limit.maxLimitRequestRatio.get(name), limit.min.get(name), limit.max.get(name)
    if ratio is None:
        return []
    here = f"{path}.maxLimitRequestRatio[{name}]"
    errors: list[FieldError] = []
    if ratio.cmp(Quantity("1")) < 0:
        errors.append(invalid(here, str(ratio), f"ratio {ratio} is less than 1"))
    if least is not None and most is not None and least.exact():
        bound = float(most.exact() / least.exact())
        if float(ratio.exact()) > bound:
            errors.append(invalid(here, str(ratio), f"ratio {ratio} is greater than max/min = {bound:f}"))
    return errors
